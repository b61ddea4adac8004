"""The governor against a board that is simulated: time, work and heat are numbers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
import soundfile

from benchmarks import hearing
from edge.events import Health, Reduced, from_json
from edge.eyes import Eyes
from edge.faces import FaceFinder
from edge.gaze import Gaze
from edge.load import (
    CALM_S,
    LONGEST_CALM_S,
    REGRET_S,
    SLOWEST_READS,
    Ceiling,
    Effort,
    Governor,
    Strain,
    ladder,
)
from edge.settings import Load
from edge.types import RATE_HZ, Box, Face, Frame, Observation, Presence, Scores
from tests.conftest import Subscriber, eventually
from tests.test_daemon import Running, settings

FULL = Effort(fps=5.0, search_px=1280, reads_per_s=2.0)
EFFORTS = ladder(FULL, window_s=5.0, resizable=True)


@dataclass
class Board:
    """Time goes on only in ``run``. Searching costs with the square of the width, reading with every face."""

    governor: Governor
    search_s: float
    """Processor time of one search at the full width."""
    read_s: float = 0.002
    faces: int = 10
    rest_percent: float = 5.0
    now: float = 1000.0

    def cpu_percent(self, effort: Effort) -> float:
        looking = effort.fps * self.search_s * (effort.search_px / FULL.search_px) ** 2
        return self.rest_percent + 100 * (looking + self.faces * effort.reads_per_s * self.read_s)

    def run(self, seconds: float, **more: object) -> list[Effort]:
        """The efforts, one after the other; *more* goes into every Strain."""
        story = [self.governor.effort]
        for _ in range(int(seconds * 5)):
            self.now += 0.2
            if self.governor.due(self.now):
                strain = Strain(self.now, self.cpu_percent(self.governor.effort))
                if self.governor.heed(replace(strain, **more)):  # type: ignore[arg-type]
                    story.append(self.governor.effort)
        return story


def board(search_s: float, ceiling: Ceiling | None = None, **more: float) -> Board:
    return Board(Governor(EFFORTS, ceiling or Ceiling(80, 75)), search_s, **more)  # type: ignore[arg-type]


def test_the_ladder_takes_rate_first_then_width_then_readings_then_rate_again() -> None:
    told = [(effort.fps, effort.search_px, effort.reads_per_s) for effort in EFFORTS]
    assert told[0] == (5.0, 1280, 2.0)
    assert told == [
        *[(fps, 1280, 2.0) for fps in (5.0, 4.0, 3.2, 2.56, 2.0)],
        *[(2.0, px, 2.0) for px in (1120, 960, 800, 640)],
        (2.0, 640, 1.0),
        *[(fps, 640, 1.0) for fps in (1.6, 1.28, 1.02, 0.82, 0.66, 0.5)],
    ]


@pytest.mark.parametrize("window_s", [1.0, 2.0, 60.0])
def test_every_window_keeps_two_looks_and_two_readings(window_s: float) -> None:
    for effort in ladder(FULL, window_s=window_s, resizable=False):
        assert effort.search_px == 1280, "a detector of one size has no such steps"
        assert effort.fps * window_s >= min(2.0, FULL.fps * window_s)
        assert effort.reads_per_s * window_s >= min(2.0, SLOWEST_READS * window_s)


def test_a_ladder_below_its_floors_stays_where_it_is() -> None:
    slow = Effort(fps=0.3, search_px=640, reads_per_s=0.5)
    assert ladder(slow, window_s=5.0, resizable=False) == (slow,)


def test_a_board_that_is_fast_enough_is_left_alone() -> None:
    assert board(search_s=0.05).run(600) == [FULL]


def test_a_slow_board_comes_under_its_budget_quickly_and_stays_there() -> None:
    slow = board(search_s=0.4)  # 5 a second would take two cores
    assert slow.cpu_percent(FULL) > 200
    story = slow.run(60)
    assert slow.cpu_percent(slow.governor.effort) <= 80
    assert slow.governor.reason == "cpu"
    assert story[0] == FULL
    assert [EFFORTS.index(effort) for effort in story] == sorted(EFFORTS.index(effort) for effort in story)
    settled = slow.governor.effort
    assert set(slow.run(3600)[1:]) <= {settled}, "it does not swing around its limit"


def test_what_was_reduced_comes_back_step_by_step_when_it_may() -> None:
    busy = board(search_s=0.05, rest_percent=80)
    busy.run(120)
    assert busy.governor.effort == EFFORTS[-1]
    busy.rest_percent = 5
    story = busy.run(len(EFFORTS) * (CALM_S + 4))
    assert story == list(reversed(EFFORTS))
    assert busy.governor.reason is None


def test_a_step_back_that_is_regretted_waits_longer_each_time() -> None:
    """Quiet for long enough to be raised, and too much at once: the time between tries doubles."""
    tries: list[float] = []
    governor = Governor(EFFORTS, Ceiling(80, 0))
    now, cpu = 0.0, 100.0
    while now < 3 * 3600:
        now += 2
        if governor.heed(Strain(now, cpu)) and governor.reason is None:
            tries.append(now)
        cpu = 100.0 if governor.effort == FULL else 10.0
    gaps = np.diff(tries)
    assert gaps[0] < 2 * CALM_S + REGRET_S
    assert gaps[-1] >= LONGEST_CALM_S
    assert (np.diff(gaps) >= 0).all()


def test_heat_reduces_and_lets_go_only_when_it_is_cooler() -> None:
    warm = board(search_s=0.05)
    warm.run(45, temperature_c=76.0)
    assert warm.governor.reason == "heat"
    reduced = warm.governor.effort
    assert reduced != FULL
    assert warm.run(600, temperature_c=72.0) == [reduced], "between 70 and 75 nothing changes"
    assert warm.run(600, temperature_c=65.0)[-1] == FULL


def test_a_throttled_board_is_relieved_slowly() -> None:
    weak = board(search_s=0.05)
    weak.run(11, throttled=True)
    assert EFFORTS.index(weak.governor.effort) in (1, 2)
    assert weak.governor.reason == "throttled"


@pytest.mark.parametrize("strain", [{"lost_blocks": 1}, {"heard_late_s": 0.8}], ids=["lost", "late"])
def test_hearing_that_lags_takes_from_seeing_at_once(strain: dict[str, float]) -> None:
    governor = Governor(EFFORTS, Ceiling(0, 0))
    assert governor.heed(Strain(0.0, 10.0, **strain))  # type: ignore[arg-type]
    assert governor.effort == EFFORTS[2]
    assert governor.reason == "hearing"
    assert governor.heed(Strain(2.0, 10.0, **strain))  # type: ignore[arg-type]
    assert governor.effort == EFFORTS[4]


def test_no_limit_is_no_limit() -> None:
    free = board(search_s=2.0, ceiling=Ceiling(0, 0))
    assert free.run(600, temperature_c=99.0) == [FULL]


def test_what_cannot_be_reduced_further_stays_told() -> None:
    hopeless = board(search_s=50.0)
    hopeless.run(600)
    assert hopeless.governor.effort == EFFORTS[-1]
    assert hopeless.governor.reason == "cpu"


# -- the effort at work ----------------------------------------------------------------------------------


class Reader:
    """Finds everybody happy."""

    model = None

    def __call__(self, faces: Sequence[Face]) -> list[Scores]:
        return [Scores(("happy", "sad"), (0.9, 0.1), "fake@1") for _ in faces]


def eyes_on(faces: list[Box], effort: Effort) -> tuple[Eyes, list[int]]:
    widths: list[int] = []
    finder = FaceFinder(lambda _image: [(box, 0.9) for box in faces], margin=0.2, random=Random(1))
    return Eyes(Gaze(finder, effort, search_at=widths.append), Reader()), widths  # type: ignore[arg-type]


FACES = [Box(0.1 + 0.2 * n, 0.2, 0.1, 0.15) for n in range(4)]


def watch(eyes: Eyes, fps: float, seconds: float, start: float = 0.0) -> list[Observation | Presence]:
    image = np.zeros((480, 640, 3), np.uint8)
    found: list[Observation | Presence] = []
    for number in range(round(seconds * fps)):
        found += eyes(Frame("camera", number, start + number / fps, image))
    return found


def test_faces_are_looked_for_five_times_and_read_twice_a_second() -> None:
    eyes, widths = eyes_on(FACES, FULL)
    found = watch(eyes, fps=15, seconds=10)
    looks = [item for item in found if isinstance(item, Presence)]
    assert len(looks) == pytest.approx(50, abs=1)
    assert all(len(look.tracks) == look.people == 4 for look in looks)
    readings = [item for item in found if isinstance(item, Observation)]
    assert len(readings) == pytest.approx(2 * 10 * 4, abs=4)
    assert set(widths) == {1280}


def test_a_lower_effort_takes_hold_with_the_next_frame() -> None:
    eyes, widths = eyes_on(FACES, FULL)
    watch(eyes, fps=15, seconds=5)
    eyes.gaze.effort = Effort(fps=1.0, search_px=640, reads_per_s=0.5)
    found = watch(eyes, fps=15, seconds=10, start=5.0)
    assert len([item for item in found if isinstance(item, Presence)]) == pytest.approx(10, abs=1)
    assert len([item for item in found if isinstance(item, Observation)]) == pytest.approx(20, abs=4)
    assert widths[-1] == 640


def test_a_new_face_is_read_at_once() -> None:
    faces = FACES[:1]
    eyes, _ = eyes_on(faces, FULL)
    watch(eyes, fps=5, seconds=1)
    eyes.reset()
    faces.append(FACES[2])
    found = watch(eyes, fps=5, seconds=0.2, start=1.1)
    assert len([item for item in found if isinstance(item, Observation)]) == 2


def test_a_small_budget_is_kept_and_told(tmp_path: Path, broker: int, subscriber: Subscriber) -> None:
    """The whole kit, with real models: one per cent of a core is too little on any machine."""
    health = "suasana/k1/health"
    with Running(settings(tmp_path, broker, load=Load(cpu_percent=1.0))):
        eventually(
            lambda: any('"misses_far_faces":true' in payload for payload in subscriber.payloads(health))
        )
    told = from_json(Health, subscriber.payloads(health)[-1])
    assert isinstance(told.reduced, Reduced)
    assert told.reduced.reason in ("cpu", "hearing")
    assert told.reduced.search_px < 1280
    assert told.cpu_percent is not None


def test_sound_is_heard_in_full_while_pictures_want_more_than_there_is(tmp_path: Path) -> None:
    """The kit's lanes on one core, and 60 frames a second to search: `python -m benchmarks.hearing`."""
    speech = tmp_path / "noise.wav"
    samples = np.random.default_rng(1).normal(0, 0.05, 2 * RATE_HZ)
    soundfile.write(speech, samples, RATE_HZ)
    for _ in range(3):  # other programs of a test machine may take its processors for two seconds
        found = hearing.on_one_core(hearing.CAMERA, speech, 4)
        assert found.frames_left_out > 0
        if not found.lost_blocks:
            break
    assert found.lost_blocks == 0
    assert found.blocks * hearing.BLOCK_S >= 3.9
    assert found.looks >= hearing.FEWEST_LOOKS
