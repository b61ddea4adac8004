"""Looking where faces are known to be instead of searching every frame whole."""

from pathlib import Path
from random import Random

import cv2
import numpy as np
import pytest

from edge import mosaic
from edge.faces import FaceFinder, Glances
from edge.models import weights
from edge.runtimes import retinaface
from edge.sources import open_camera
from edge.types import Box, EdgeError, Frame

MEDIA = Path("../shared/data/media/intel_sample_videos")


class Finder:
    """A detector of white squares, exact to the pixel, that counts how often it was asked."""

    def __init__(self):
        self.asked = 0

    def __call__(self, image):
        self.asked += 1
        _, marks = cv2.threshold(image[..., 0], 200, 255, cv2.THRESH_BINARY)
        _, _, stats, _ = cv2.connectedComponentsWithStats(marks)
        height, width = image.shape[:2]
        return [(Box(x / width, y / height, w / width, h / height), 0.9) for x, y, w, h, _ in stats[1:]]


def frame(at, *squares, side=32, size=(480, 640)):
    image = np.full((*size, 3), 60, np.uint8)
    for x, y in squares:
        image[y : y + side, x : x + side] = 255
    return Frame("test", 0, at, image)


def watcher(every_s=2.0, *, believed_s=0.0, patience=1):
    whole, glance = Finder(), Finder()
    glances = Glances(glance, every_s, believed_s=believed_s, patience=patience)
    return FaceFinder(whole, margin=0.0, random=Random(1), glances=glances), whole, glance


def places(faces):
    return sorted((round(face.box.x * 640), round(face.box.y * 480)) for face in faces)


@pytest.mark.parametrize("side", [14, 40, 90])
def test_what_is_laid_into_a_mosaic_is_lifted_back_to_its_place(side):
    squares = [(30, 50), (200, 60), (400, 50), (600 - side, 440 - side), (100, 300)]
    image = frame(0.0, *squares, side=side).image
    known = [Box(x / 640, y / 480, side / 640, side / 480) for x, y in squares]
    laid = mosaic.lay(image, known)
    assert laid.image.shape == (mosaic.TILE_PX, len(known) * mosaic.TILE_PX, 3)
    back = mosaic.lift(laid, Finder()(laid.image), (480, 640))
    for box, found in zip(known, back, strict=True):
        assert found is not None
        assert abs(found[0].x - box.x) * 640 < 0.05 * side + 1
        assert abs(found[0].y - box.y) * 480 < 0.05 * side + 1
        assert found[0].width == pytest.approx(box.width, rel=0.1)


def test_a_face_at_the_frames_edge_or_beyond_it_is_no_error():
    image = frame(0.0, (0, 0)).image
    known = [Box(0.0, 0.0, 0.05, 0.07), Box(-0.5, 1.2, 0.1, 0.1), Box(0.98, 0.98, 0.1, 0.1)]
    laid = mosaic.lay(image, known)
    found = mosaic.lift(laid, Finder()(laid.image), (480, 640))
    assert found[0] is not None
    assert found[1:] == [None, None]


def test_a_neighbour_in_the_tile_is_not_taken_for_the_face_that_left():
    image = frame(0.0, (130, 100)).image
    laid = mosaic.lay(image, [Box(100 / 640, 100 / 480, 32 / 640, 32 / 480)])
    assert mosaic.lift(laid, Finder()(laid.image), (480, 640)) == [None]


def test_whole_frames_are_searched_only_so_often():
    find, whole, glance = watcher(every_s=2.0)
    for step in range(21):
        assert len(find(frame(step / 5, (50 + step, 60), (300, 200 - step)))) == 2
    assert (whole.asked, glance.asked) == (3, 18)


def test_faces_are_followed_in_between_with_their_tracks():
    find, whole, _ = watcher(every_s=60)
    seen = [find(frame(step / 5, (50 + 8 * step, 60), (300, 300 - 6 * step))) for step in range(20)]
    assert whole.asked == 1
    assert len({face.track for faces in seen for face in faces}) == 2
    assert places(seen[-1]) == [(50 + 8 * 19, 60), (300, 300 - 6 * 19)]


def test_faces_that_look_the_same_are_believed_for_a_second():
    find, whole, glance = watcher(every_s=60, believed_s=1.0)
    both = ((50, 60), (300, 200))
    assert [len(find(frame(step / 5, *both))) for step in range(10)] == [2] * 10
    assert (whole.asked, glance.asked) == (1, 1)


def test_a_face_that_shifts_a_little_is_followed_without_being_searched_for():
    find, whole, glance = watcher(every_s=60, believed_s=1.0)
    seen = [find(frame(step / 10, (50 + step, 60), (300, 200 - step))) for step in range(9)]
    assert (whole.asked, glance.asked) == (1, 0)
    assert places(seen[-1]) == [(58, 60), (300, 192)]
    assert len({face.track for faces in seen for face in faces}) == 2


def test_of_several_faces_the_detector_is_asked_about_those_that_changed():
    shown = []

    def look(image):
        shown.append(image.shape[1] // mosaic.TILE_PX)
        return Finder()(image)

    glances = Glances(look, 60, believed_s=1.0)
    find = FaceFinder(Finder(), margin=0.0, random=Random(1), glances=glances)
    find(frame(0.0, (50, 60), (300, 200), (500, 300)))
    moved = find(frame(0.2, (50, 60), (312, 200), (500, 300)))
    assert shown == [1]
    assert places(moved) == [(50, 60), (312, 200), (500, 300)]


def test_a_face_that_is_covered_or_gone_is_not_believed():
    find, _, _ = watcher(every_s=60, believed_s=1.0)
    find(frame(0.0, (50, 60), (300, 200), (500, 300)))
    covered = frame(0.2, (50, 60), (300, 200))
    covered.image[300:332, 500:520] = 120
    assert places(find(covered)) == [(50, 60), (300, 200)]
    assert places(find(frame(0.4, (50, 60), (300, 200)))) == [(50, 60), (300, 200)]


def test_nothing_is_searched_while_only_known_heads_move_but_never_for_long():
    find, whole, _ = watcher(every_s=2.0, patience=4)
    for step in range(81):
        assert len(find(frame(step / 5, (50 + step % 9, 60), (300, 200)))) == 2
    assert whole.asked == 3  # at 0, 8 and 16 seconds


@pytest.mark.parametrize("patience", [1, 4])
def test_a_newcomer_is_found_when_the_next_whole_frame_is_due(patience):
    find, _, _ = watcher(every_s=2.0, believed_s=1.0, patience=patience)
    assert len(find(frame(0.0, (50, 60)))) == 1
    counts = [len(find(frame(step / 5, (50, 60), (300, 200)))) for step in range(1, 12)]
    assert counts == [1] * 9 + [2] * 2


def test_a_face_out_of_sight_halves_the_time_and_is_known_again_where_it_was():
    find, whole, _ = watcher(every_s=2.0)
    both = ((50, 60), (300, 200))
    before = places(find(frame(0.0, *both)))
    assert len(find(frame(0.2, both[0]))) == 1
    assert places(find(frame(0.4, *both))) == before
    assert whole.asked == 1
    for step in range(3, 6):
        find(frame(step / 5, both[0]))
    assert whole.asked == 2


def test_another_picture_is_searched_at_once():
    find, whole, _ = watcher(every_s=60)
    find(frame(0.0, (50, 60), (300, 200)))
    assert places(find(frame(0.2, (400, 400), (500, 20)))) == [(400, 400), (500, 20)]
    assert whole.asked == 2


def test_an_empty_room_costs_nothing_in_between():
    find, whole, glance = watcher(every_s=2.0)
    assert [find(frame(step / 5)) for step in range(11)] == [()] * 11
    assert (whole.asked, glance.asked) == (2, 0)


def test_a_reset_and_time_that_goes_back_search_the_whole_frame():
    find, whole, _ = watcher(every_s=60)
    find(frame(10.0, (50, 60)))
    find(frame(3.0, (50, 60)))
    find.reset()
    find(frame(3.1, (50, 60)))
    assert whole.asked == 3


def test_two_places_that_show_one_face_give_one_face():
    find, _, _ = watcher(every_s=60)
    find(frame(0.0, (100, 100), (142, 100)))
    assert len(find(frame(0.2, (121, 100)))) == 1


def test_where_all_are_near_three_of_four_searches_are_for_near_faces():
    whole, near, glance = Finder(), Finder(), Finder()
    glances = Glances(glance, 2.0, near=near, patience=1)
    find = FaceFinder(whole, margin=0.0, random=Random(1), glances=glances)
    for step in range(0, 17, 2):
        assert len(find(frame(float(step), (50, 60), (300, 200), side=40))) == 2
    assert (whole.asked, near.asked) == (3, 6)
    find.reset()
    for step in range(20, 37, 2):
        find(frame(float(step), (50, 60), (300, 200), side=39))
    assert (whole.asked, near.asked) == (12, 6)


def test_a_near_face_that_a_search_misses_is_known_again_where_it_was():
    whole, glance = Finder(), Finder()
    glances = Glances(glance, 2.0, near=lambda _: [], patience=1)
    find = FaceFinder(whole, margin=0.0, random=Random(1), glances=glances)
    assert len(find(frame(0.0, (50, 60), (300, 200), side=40))) == 2
    assert find(frame(2.0, (50, 60), (300, 200), side=40)) == ()
    assert len(find(frame(2.2, (50, 60), (300, 200), side=40))) == 2


def test_somebody_far_who_came_in_is_searched_for_until_a_whole_search_saw_the_place():
    whole, near, glance = Finder(), Finder(), Finder()
    glances = Glances(glance, 2.0, near=lambda image: near(image)[:1], patience=4)
    find = FaceFinder(whole, margin=0.0, random=Random(1), glances=glances)
    for step in range(5):
        find(frame(float(2 * step), (50, 60), side=40))
    assert (whole.asked, near.asked) == (1, 1)  # nothing moved: the second search came after eight seconds
    came = frame(0.0, (50, 60), side=40).image
    came[300:314, 500:514] = 255
    counts = [len(find(Frame("test", 0, 10.0 + 2 * step, came))) for step in range(3)]
    assert counts == [1, 1, 2]
    assert (whole.asked, near.asked) == (2, 3)


@pytest.mark.skipif(not MEDIA.exists(), reason="needs ../shared/data/media")
@pytest.mark.parametrize(("clip", "people"), [("classroom", 4), ("face-demographics-walking-and-pause", 3)])
def test_people_of_real_clips_are_found_in_every_look(clip, people):
    try:
        detector = retinaface.open(weights.find("retinaface"))
    except EdgeError as error:
        pytest.skip(f"{error} (suasana models fetch)")
    find = FaceFinder(
        detector, margin=0.1, random=Random(1), glances=Glances(detector.glance, 2.0, near=detector.near)
    )
    with open_camera(f"replay:{MEDIA}/{clip}.mp4?speed=0") as camera:
        looks = [find(each) for each in list(camera)[:120:4]]
    assert {len(faces) for faces in looks} == {people}
    assert len({face.track for faces in looks for face in faces}) == people
