"""What is wrong with pictures and sound, and what is not. Time is made up; noise is a real sensor's size."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
import soundfile

from edge.models import weights
from edge.types import RATE_HZ, AudioBlock, Frame, ImageArray
from edge.verdict import CLEARED_AFTER_S, GAP_S, REOPEN_EVERY_S, PictureJudge, SoundJudge, Verdict
from tests.conftest import SHARED

AFTER_S, FPS = 10.0, 5
ROOM = cv2.resize(cv2.imread(str(weights.FOLDER / "astronaut.png")), (640, 480))
Draw = Callable[[], ImageArray]


def camera(scene: ImageArray, noise: float, *, gain: float = 1.0, seed: int = 0) -> Draw:
    rng = np.random.default_rng(seed)
    thin = (scene * gain).astype(np.float32)
    return lambda: np.clip(thin + noise * rng.standard_normal(thin.shape, np.float32), 0, 255).astype(
        np.uint8
    )


def flat(level: float) -> ImageArray:
    return np.full((480, 640, 3), level, np.uint8)


class Watch:
    """Shows a judge pictures or sound, second by second, from where the last ones ended."""

    def __init__(self, judge: PictureJudge | SoundJudge) -> None:
        self.judge, self.now = judge, 100.0

    def look(self, draw: Draw, seconds: float) -> list[Verdict]:
        verdicts = []
        for _ in range(round(seconds * FPS)):
            verdicts.append(self.judge(Frame("camera", 0, self.now, draw())))  # type: ignore[arg-type]
            self.now += 1 / FPS
        return verdicts

    def hear(self, samples: np.ndarray) -> list[Verdict]:
        verdicts = []
        for start in range(0, len(samples) - 511, 512):
            block = AudioBlock("microphone", 0, self.now, samples[start : start + 512].astype(np.float32))
            verdicts.append(self.judge(block))  # type: ignore[arg-type]
            self.now += 512 / RATE_HZ
        return verdicts


def problems(verdicts: list[Verdict]) -> list[str | None]:
    """Each once, in order."""
    told: list[str | None] = []
    for verdict in verdicts:
        if not told or told[-1] != verdict.problem:
            told.append(verdict.problem)
    return told


@pytest.fixture
def watch() -> Watch:
    return Watch(PictureJudge(after_s=AFTER_S))


def test_a_frozen_picture_is_never_read_and_is_told_when_it_lasts(watch: Watch) -> None:
    assert all(verdict.read for verdict in watch.look(camera(ROOM, 1), 5))
    still = camera(ROOM, 1)()
    verdicts = watch.look(lambda: still, 2 * AFTER_S)
    assert not any(verdict.read for verdict in verdicts[1:]), "not one reading of a picture that is known"
    assert problems(verdicts) == [None, "frozen"]
    assert sum(verdict.problem is None for verdict in verdicts) == AFTER_S * FPS + 1
    assert [verdict.reopen for verdict in verdicts].count(True) == 1
    back = watch.look(camera(ROOM, 1, seed=2), 2 * CLEARED_AFTER_S)
    assert problems(back) == ["frozen", None]
    assert back[-1].read


def test_a_frozen_picture_that_is_packed_anew_is_noticed_too(watch: Watch) -> None:
    still = camera(ROOM, 1)()
    toggle = iter(range(10**6))

    def repacked() -> ImageArray:
        picture = still.copy()
        picture[4, 4] += np.uint8(next(toggle) % 2)  # of thousands that are looked at
        return picture

    assert problems(watch.look(repacked, 2 * AFTER_S)) == [None, "frozen"]


def test_opening_anew_that_cured_nothing_is_tried_again_minutes_later(watch: Watch) -> None:
    still = camera(ROOM, 1)()
    first = watch.look(lambda: still, AFTER_S + 5)
    watch.now += 3  # closed, waited, opened: the same picture
    later = watch.look(lambda: still, REOPEN_EVERY_S)
    assert [verdict.reopen for verdict in (*first, *later)].count(True) == 2
    assert problems(later) == ["frozen"], "it never looks mended in between"


@pytest.mark.parametrize("noise", [0.1, 0.5, 2.0])
@pytest.mark.parametrize("quality", [None, 60], ids=["raw", "jpeg"])
def test_an_empty_room_that_does_not_move_is_no_failure(
    watch: Watch, noise: float, quality: int | None
) -> None:
    draw = camera(ROOM, noise)

    def delivered() -> ImageArray:
        if quality is None:
            return draw()
        packed = cv2.imencode(".jpg", draw(), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        return np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)

    verdicts = watch.look(delivered, AFTER_S + 2)
    assert problems(verdicts) == [None]
    assert all(verdict.read for verdict in verdicts)


def test_night_is_dark_and_no_failure(watch: Watch) -> None:
    verdicts = watch.look(camera(flat(6), 2), 2 * AFTER_S)
    assert problems(verdicts) == [None, "dark"]
    assert all(verdict.read and not verdict.reopen for verdict in verdicts)


def test_a_dim_room_is_neither_dark_nor_covered(watch: Watch) -> None:
    assert problems(watch.look(camera(ROOM, 2, gain=0.2), 2 * AFTER_S)) == [None]


@pytest.mark.parametrize("level", [0, 12])
def test_black_without_noise_is_a_failure(watch: Watch, level: int) -> None:
    verdicts = watch.look(lambda: flat(level), 2 * AFTER_S)
    assert problems(verdicts) == [None, "black"]
    assert [verdict.reopen for verdict in verdicts].count(True) == 1


@pytest.mark.parametrize(
    "scene",
    [
        flat(120),
        flat(240),
        np.linspace(60, 200, 640).astype(np.uint8)[None, :, None] * np.ones((480, 1, 3), np.uint8),
    ],
    ids=["paper", "bright paper", "light from one side"],
)
def test_light_without_shape_is_a_covered_lens(watch: Watch, scene: ImageArray) -> None:
    verdicts = watch.look(camera(scene, 3), 2 * AFTER_S)
    assert problems(verdicts) == [None, "covered"]
    assert not any(verdict.reopen for verdict in verdicts), "opening anew takes no tape off"
    assert not verdicts[-1].read
    assert problems(watch.look(camera(ROOM, 3), 3)) == ["covered", None]


def test_a_hand_that_passes_the_lens_is_no_problem(watch: Watch) -> None:
    for _ in range(5):
        told = watch.look(camera(flat(100), 3), AFTER_S - 2) + watch.look(camera(ROOM, 3), 3)
        assert problems(told) == [None]


def test_a_gap_counts_for_nothing(watch: Watch) -> None:
    watch.look(camera(flat(100), 3), AFTER_S - 1)
    watch.now += GAP_S + 60
    assert problems(watch.look(camera(flat(100), 3), AFTER_S - 1)) == [None]


def test_judging_can_be_switched_off() -> None:
    watch = Watch(PictureJudge(after_s=0))
    assert watch.look(lambda: flat(0), 60)[-1] == Verdict()
    assert Watch(SoundJudge(after_s=0)).hear(np.zeros(RATE_HZ * 60))[-1] == Verdict()


def test_other_sizes_and_a_change_of_size_are_fine(watch: Watch) -> None:
    for width, height in ((16, 16), (320, 240), (1920, 1080)):
        scene = cv2.resize(ROOM, (width, height))
        assert problems(watch.look(camera(scene, 2), 2)) == [None]


# -- sound -----------------------------------------------------------------------------------------------


@pytest.fixture
def listen() -> Watch:
    return Watch(SoundJudge(after_s=60))


def noise(dbfs: float, seconds: float) -> np.ndarray:
    return np.random.default_rng(1).standard_normal(round(seconds * RATE_HZ)) * 10 ** (dbfs / 20)


@pytest.mark.parametrize("offset", [0.0, 0.2])
def test_digital_silence_is_told_after_a_minute(listen: Watch, offset: float) -> None:
    verdicts = listen.hear(np.full(RATE_HZ * 90, offset))
    assert problems(verdicts) == [None, "silent"]
    assert [verdict.reopen for verdict in verdicts].count(True) == 1
    assert problems(listen.hear(noise(-60, 3))) == [None], "over with the first sound"


def test_a_very_quiet_room_is_not_silent(listen: Watch) -> None:
    assert problems(listen.hear(noise(-90, 90))) == [None]


def test_a_noise_gate_between_sentences_is_not_silent(listen: Watch) -> None:
    for _ in range(4):
        told = listen.hear(np.zeros(RATE_HZ * 40)) + listen.hear(noise(-30, 2))
        assert problems(told) == [None]


def speech(seconds: float) -> np.ndarray:
    """Syllables with pauses: a rising and falling voice, half of the time."""
    clock = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return np.sin(2 * np.pi * 180 * clock) * (np.sin(2 * np.pi * 3 * clock) > 0) * 0.3


def test_overdriven_speech_is_told_and_loud_speech_is_not(listen: Watch) -> None:
    assert problems(listen.hear(speech(30) * 3)) == [None]
    verdicts = listen.hear(np.clip(speech(30) * 40, -1, 1))
    assert problems(verdicts) == [None, "clipped"]
    assert not verdicts[-1].read
    assert not any(verdict.reopen for verdict in verdicts)
    assert problems(listen.hear(speech(40))) == ["clipped", None]


def test_a_door_that_slams_is_not_clipping(listen: Watch) -> None:
    assert problems(listen.hear(np.concatenate([noise(-50, 10), np.ones(RATE_HZ // 4), noise(-50, 20)]))) == [
        None
    ]


def test_real_speech_and_real_noise_are_heard(listen: Watch) -> None:
    paths = sorted(SHARED.glob("voice/ravdess/**/*.*"))[:10]
    if not paths:
        pytest.skip("the research data is not here")
    for path in paths:
        samples, _ = soundfile.read(path, always_2d=True)
        assert set(problems(listen.hear(samples[:, 0]))) <= {None}, path
