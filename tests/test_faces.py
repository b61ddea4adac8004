"""Finding, following and cropping faces; the shipped detectors on real photographs where those exist."""

import json
from pathlib import Path
from random import Random

import cv2
import numpy as np
import pytest

from edge.faces import ILLEGIBLE_PX, LEGIBLE_PX, FaceFinder, distinct, legibility
from edge.models import weights
from edge.runtimes import blazeface, retinaface, yunet
from edge.sources import open_camera
from edge.types import Box, EdgeError, Frame, ModelError

YUNET = Path("../shared/data/detectors/face_detection_yunet_2023mar.onnx")
MEDIA = Path("../shared/data/media")


class Script:
    """A detector that answers with the next list."""

    def __init__(self, *answers):
        self.answers = iter(answers)

    def __call__(self, image):
        return next(self.answers)


def frame(at, seq=0, size=(480, 640)):
    return Frame("test", seq, at, np.zeros((*size, 3), np.uint8))


def finder(*answers, **options):
    return FaceFinder(Script(*answers), margin=0.1, random=Random(1), **options)


def face(x, y, size=0.1, score=0.9):
    return Box(x, y, size, size * 4 / 3), score


def test_a_face_keeps_its_track_while_it_moves_and_blinks_out():
    find = finder(
        [face(0.1, 0.1), face(0.6, 0.5)], [face(0.61, 0.5), face(0.12, 0.1)], [], [face(0.15, 0.12)]
    )
    (left, right) = find(frame(0.0))
    (right_again, left_again) = find(frame(0.2))
    assert left.track == left_again.track
    assert right.track == right_again.track
    assert left.track != right.track
    assert find(frame(1.0)) == ()
    assert find(frame(1.5))[0].track == left.track


def test_a_face_out_of_sight_for_longer_is_somebody_new():
    find = finder([face(0.1, 0.1)], [], [face(0.1, 0.1)], max_age_s=2.0)
    first = find(frame(0.0))[0].track
    find(frame(1.0))
    assert find(frame(2.1))[0].track != first


def test_tracks_are_not_stolen_by_a_far_or_much_larger_face():
    find = finder([face(0.1, 0.1)], [face(0.5, 0.1), face(0.05, 0.05, size=0.3)])
    first = find(frame(0.0))[0].track
    assert first not in [found.track for found in find(frame(0.1))]


def test_somebody_who_walks_past_keeps_the_track_and_the_seated_keep_theirs():
    steps = [[face(0.1 + 0.05 * step, 0.3, size=0.04), face(0.3, 0.38, size=0.04)] for step in range(9)]
    find = finder(*steps)
    seen = [find(frame(0.2 * step)) for step in range(9)]
    assert len({each.track for faces in seen for each in faces}) == 2
    assert all(
        len({each.track for faces in seen for each in faces if (each.box.y == 0.3) == walks}) == 1
        for walks in (True, False)
    )


def test_two_faces_never_share_a_track():
    near = [face(0.30, 0.30), face(0.36, 0.30)]
    find = finder(near, [face(0.33, 0.30), face(0.39, 0.30)], near)
    for at in (0.0, 0.2, 0.4):
        found = find(frame(at))
        assert len({each.track for each in found}) == 2


def test_time_that_goes_back_and_reset_start_anew():
    find = finder([face(0.1, 0.1)], [face(0.1, 0.1)], [face(0.1, 0.1)])
    tracks = [find(frame(10.0))[0].track, find(frame(3.0))[0].track]
    find.reset()
    tracks.append(find(frame(3.1))[0].track)
    assert len(set(tracks)) == 3


def test_the_same_input_gives_the_same_output():
    answers = [[face(0.1, 0.1)], [face(0.5, 0.5), face(0.11, 0.1)]]
    runs = []
    for _ in range(2):
        find = finder(*answers)
        runs.append([found.track for at in (0.0, 0.2) for found in find(frame(at))])
    assert runs[0] == runs[1]


def test_boxes_inside_surer_boxes_and_tiny_ones_are_dropped():
    whole, chin = (Box(0.2, 0.2, 0.2, 0.2), 0.9), (Box(0.25, 0.3, 0.1, 0.1), 0.95)
    assert distinct([whole, chin]) == [chin]
    assert distinct([whole, (chin[0], 0.5)]) == [whole]
    child, adult = (Box(0.2, 0.4, 0.1, 0.1), 0.9), (Box(0.25, 0.2, 0.2, 0.25), 0.95)
    assert len(distinct([child, adult])) == 2
    assert finder([face(0.1, 0.1, size=8 / 640), face(0.5, 0.5)], min_px=10)(frame(0.0))[0].box.x == 0.5


def test_crops_are_square_with_the_margin_and_of_the_right_place():
    image = np.zeros((480, 640, 3), np.uint8)
    image[100:180, 200:260] = 255
    find = finder([(Box(200 / 640, 100 / 480, 60 / 640, 80 / 480), 0.9)])
    crop = find(Frame("test", 0, 0.0, image))[0].crop
    assert crop.shape == (96, 96, 3)
    assert crop[48, 48, 0] == 255
    assert crop[2, 2, 0] == 0
    assert int((crop[:, :, 0] == 255).sum()) == 60 * 80


def test_small_crops_count_less():
    def weight(side):
        return legibility(np.zeros((side, side, 3), np.uint8))

    assert weight(8) == weight(ILLEGIBLE_PX) == 0
    assert weight(LEGIBLE_PX) == weight(300) == 1
    assert 0 < weight(ILLEGIBLE_PX + 4) < weight(LEGIBLE_PX - 4) < 1


# -- the detectors ---------------------------------------------------------------------------------------


def shipped(name):
    try:
        return weights.find(name)
    except EdgeError as error:
        pytest.skip(f"{error} (suasana models fetch)")


DETECTORS = {
    "retinaface": lambda: retinaface.open(shipped("retinaface")),
    "blazeface": lambda: blazeface.open(shipped("blazeface-back")),
    "yunet": lambda: yunet.open(YUNET) if YUNET.exists() else pytest.skip("needs ../shared/data/detectors"),
}


@pytest.fixture(params=DETECTORS)
def detector(request):
    return DETECTORS[request.param]()


def portrait():
    image = cv2.imread(str(shipped("portrait-smiling")))
    assert image is not None
    return image


def test_detectors_find_a_face_where_it_is(detector):
    image = portrait()  # the face is at 174..269, 51..178 of 512 x 512
    (box, score), *others = detector(image)
    assert not others
    assert 0.5 < score <= 1
    assert abs(box.x + box.width / 2 - 222 / 512) < 0.02
    assert abs(box.y + box.height / 2 - 115 / 512) < 0.05
    assert 0.15 < box.width < 0.25


@pytest.mark.parametrize("size", [(480, 640), (270, 480), (720, 1280), (333, 501), (900, 300)])
def test_detectors_take_every_picture_size(detector, size):
    height, width = size
    image = np.full((height, width, 3), 128, np.uint8)
    image[40:210, 60:230] = cv2.resize(portrait()[30:200, 130:300], (170, 170))
    boxes = detector(image)
    assert len(boxes) == 1
    box, _ = boxes[0]
    assert 115 < (box.x + box.width / 2) * width < 185
    assert 85 < (box.y + box.height / 2) * height < 165


def test_detectors_see_no_face_where_there_is_none(detector):
    ramp = np.linspace(0, 255, 640).astype(np.uint8)
    noise = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
    for image in (np.zeros((480, 640, 3), np.uint8), np.tile(ramp[None, :, None], (480, 1, 3)), noise):
        assert detector(image) == []


@pytest.mark.parametrize("adapter", [retinaface, blazeface, yunet])
def test_a_file_that_is_no_detector_is_refused_in_one_line(adapter, tmp_path):
    path = tmp_path / "weights"
    path.write_bytes(b"not a model")
    with pytest.raises(ModelError) as raised:
        adapter.open(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_staged_class_has_eight_people_and_eight_tracks():
    folder = shipped("portrait-smiling").parent
    shipped("portrait-serious")
    find = FaceFinder(retinaface.open(shipped("retinaface"), side=640), margin=0.1, random=Random(1))
    counts, tracks = [], set()
    with open_camera(f"scene:{folder}?speed=0&fps=2&frames=40") as camera:
        for each in camera:
            faces = find(each)
            counts.append(len(faces))
            tracks |= {found.track for found in faces}
    # A place is dark for a moment while it changes hands.
    assert min(counts) >= 7
    assert counts.count(8) >= 30
    assert len(tracks) == 8


@pytest.mark.skipif(not MEDIA.exists(), reason="needs ../shared/data/media")
def test_the_default_detector_finds_the_people_of_real_clips():
    find = FaceFinder(retinaface.open(shipped("retinaface")), margin=0.1, random=Random(1))
    for clip, people in (("classroom", 4), ("face-demographics-walking-and-pause", 3)):
        find.reset()
        tracks = set()
        with open_camera(f"replay:{MEDIA}/intel_sample_videos/{clip}.mp4?speed=0") as camera:
            for each in list(camera)[::10]:
                faces = find(each)
                assert len(faces) == people, f"{clip}, frame {each.seq}"
                tracks |= {found.track for found in faces}
        assert len(tracks) == people


def test_the_documentation_shows_the_measured_results():
    detectors = pytest.importorskip("benchmarks.detectors")
    results = json.loads(Path("benchmarks/results/detectors.json").read_text("utf-8"))
    text = Path("docs/detectors.md").read_text("utf-8")
    assert detectors._tables(results["detectors"]) in text
    for row in json.loads(Path("benchmarks/results/legibility.json").read_text("utf-8"))["by_size"]:
        assert f"| {' | '.join(map(str, row.values()))} |" in text
