"""Telling a face that is still there from one that has to be looked for, and a still room from another."""

import cv2
import numpy as np
import pytest

from edge import stillness
from edge.stillness import Backdrop
from edge.types import Box

SIZE = (480, 640)
SEEN = Box(200 / 640, 150 / 480, 64 / 640, 64 / 480)


def scene(across=0.0, down=0.0, *, light=1.0, noise=0, seed=1):
    """A room with one blurred, face-sized pattern that can be anywhere, to parts of a pixel."""
    random = np.random.default_rng(seed)
    pattern = cv2.resize(
        random.uniform(60, 200, (7, 7)).astype(np.float32), (80, 80), interpolation=cv2.INTER_CUBIC
    )
    room = np.full(SIZE, 90, np.float32)
    room[142:222, 192:272] = np.clip(pattern, 0, 255)
    move = np.array([[1, 0, across], [0, 1, down]], np.float32)
    moved = cv2.warpAffine(room, move, SIZE[::-1], borderMode=cv2.BORDER_REPLICATE) * light
    if noise:
        moved += np.random.default_rng(seed + 1).normal(0, noise, SIZE)
    return np.clip(moved, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("across", "down"), [(0, 0), (2.4, 0), (0, -3.0), (-1.5, 1.5), (3.2, -2.1)])
@pytest.mark.parametrize("light", [0.85, 1.0, 1.15])
def test_a_shifted_face_is_followed_in_any_light(across, down, light):
    patch = stillness.take(scene(noise=2), SEEN, 0.9, 1.0)
    assert stillness.follow(scene(across, down, light=light, noise=2), patch)
    assert (patch.box.x - SEEN.x) * 640 == pytest.approx(across, abs=1.0)
    assert (patch.box.y - SEEN.y) * 480 == pytest.approx(down, abs=1.0)
    assert (patch.box.width, patch.box.height) == (SEEN.width, SEEN.height)


def test_many_small_shifts_add_up():
    patch = stillness.take(scene(), SEEN, 0.9, 1.0)
    for step in range(1, 11):
        assert stillness.follow(scene(2.5 * step, -1.5 * step), patch)
    assert (patch.box.x - SEEN.x) * 640 == pytest.approx(25, abs=1.5)
    assert (patch.box.y - SEEN.y) * 480 == pytest.approx(-15, abs=1.5)


def covered():
    image = scene()
    image[150:214, 200:230] = 130
    return image


def a_hand_at_the_chin():
    image = scene()
    image[190:214, 215:250] = 60
    return image


@pytest.mark.parametrize(
    "image",
    [
        scene(seed=7),
        a_hand_at_the_chin(),
        np.full(SIZE, 90, np.uint8),
        np.full(SIZE, 0, np.uint8),
        cv2.flip(scene()[:, 200:264], 1).repeat(10, axis=1)[:, :640],
        scene(15, 0),
        covered(),
        255 - scene(),
    ],
    ids=["another", "hand", "wall", "dark", "mirrored", "jumped", "covered", "inverted"],
)
def test_what_looks_different_is_not_believed(image):
    patch = stillness.take(scene(), SEEN, 0.9, 1.0)
    assert not stillness.follow(image, patch)
    assert patch.box == SEEN


def test_a_shift_beyond_what_slopes_can_tell_is_not_believed():
    y, x = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float32)

    def blob(across):
        """So smooth that a shift of any length looks like a slope."""
        return (60 + 150 * np.exp(-((x - 232 - across) ** 2 + (y - 182) ** 2) / (2 * 20**2))).astype(np.uint8)

    assert stillness.follow(blob(3), stillness.take(blob(0), SEEN, 0.9, 1.0))
    assert not stillness.follow(blob(6), stillness.take(blob(0), SEEN, 0.9, 1.0))


def test_a_face_without_contrast_and_one_beyond_the_edge_are_no_error():
    grey = np.full(SIZE, 90, np.uint8)
    assert stillness.follow(grey, stillness.take(grey, SEEN, 0.9, 1.0))
    assert not stillness.follow(scene(), stillness.take(grey, SEEN, 0.9, 1.0))
    for box in (Box(-0.5, -0.5, 0.1, 0.1), Box(0.97, 0.97, 0.1, 0.1), Box(0.5, 0.5, 0.0, 0.0)):
        stillness.follow(scene(), stillness.take(scene(), box, 0.9, 1.0))


def backdrop(image, *heads):
    kept = Backdrop()
    kept.keep(image, heads)
    return kept


def test_noise_light_and_known_heads_leave_a_room_still():
    kept = backdrop(scene(noise=5), SEEN)
    assert kept.is_still(scene(noise=5, seed=1, light=1.05), [SEEN])
    assert kept.is_still(scene(10, -8, noise=5), [SEEN])


@pytest.mark.parametrize("side", [12, 40])
def test_somebody_who_came_in_is_a_change_until_that_is_kept(side):
    kept, image = backdrop(scene(), SEEN), scene()
    image[400 : 400 + side, 500 : 500 + side] = 180
    assert not kept.is_still(image, [SEEN])
    assert not kept.is_still(image, [SEEN])
    kept.keep(image, [SEEN])
    assert kept.is_still(image, [SEEN])


def test_a_head_that_nobody_knows_is_a_change_and_so_is_another_camera():
    kept = backdrop(scene())
    assert not kept.is_still(np.full(SIZE, 90, np.uint8), [])
    assert not kept.is_still(np.full((240, 320), 90, np.uint8)[:, :200], [])
    kept.forget()
    assert not kept.is_still(scene(), [])
    assert not Backdrop().is_still(scene(), [])


def test_no_known_face_is_kept_with_the_room():
    kept = backdrop(scene(), SEEN)
    assert kept._small is not None
    assert not kept._small[38:54, 50:66].any()
    assert (kept._small[:, 100:] == 90).all()
