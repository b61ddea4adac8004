"""suasana replay, as a user runs it: real files, real models, real exit codes."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile

from edge.events import Event, MoodWindow
from edge.models import weights
from edge.offline import fingerprint, replay
from edge.runtimes import PREFERENCE
from edge.settings import Classifier, Faces, Mood, Settings
from tests.conftest import ROOT, SHARED

PORTRAIT = weights.FOLDER / "astronaut.png"


def suasana(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of a portrait that drifts, as an AVI file."""
    path = tmp_path_factory.mktemp("clips") / "portrait.avi"
    portrait = cv2.imread(str(PORTRAIT))
    writer = cv2.VideoWriter(str(path), cv2.CAP_OPENCV_MJPEG, cv2.VideoWriter.fourcc(*"MJPG"), 10, (512, 512))
    for step in range(20):
        writer.write(np.roll(portrait, step, axis=1))
    writer.release()
    return path


@pytest.mark.parametrize("runtime", PREFERENCE)
def test_a_smile_is_read_as_happy(clip: Path, runtime) -> None:
    wanted = Settings(mood=Mood(min_people=0), expression=Classifier("face-expression", runtime))
    (event,) = replay(wanted, [clip])
    assert isinstance(event.data, MoodWindow)
    assert (event.data.mood, event.data.people) == ("happy", 1)
    assert event.time_quality == "unsynced"


def test_the_same_file_gives_the_same_events_twice(clip: Path) -> None:
    first, second = (suasana("replay", clip, "--jsonl") for _ in range(2))
    assert first.returncode == second.returncode == 0
    assert first.stdout == second.stdout
    assert [Event.from_json(line).seq for line in first.stdout.splitlines()] == [0]


def test_speech_is_heard_and_a_tone_is_not_speech(tmp_path: Path) -> None:
    hum = np.sin(np.arange(16_000 * 11) * 2 * np.pi * 220 / 16_000).astype(np.float32) / 4
    soundfile.write(tmp_path / "hum.wav", hum, 16_000)
    windows = list(replay(Settings(mood=Mood(min_people=0)), [tmp_path / "hum.wav"]))
    assert len(windows) == 2
    assert all(event.data.voice_readings == 0 for event in windows)  # type: ignore[union-attr]


def test_a_group_too_small_is_suppressed_when_asked(clip: Path) -> None:
    done = suasana("replay", clip, "--jsonl", "--min-people", 5)
    assert json.loads(done.stdout)["data"]["suppressed"] == "too_few_people"


def test_people_get_a_line_they_can_read(clip: Path) -> None:
    done = suasana("replay", clip)
    assert "mood happy" in done.stdout
    assert "1 face" in done.stdout


def bad_files(folder: Path) -> dict[str, list[Path]]:
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("this is not a film")
    (folder / "text.wav").write_text("this is not a sound")
    (folder / "torn.png").write_bytes(PORTRAIT.read_bytes()[:200])
    (folder / "nothing").mkdir()
    return {
        "missing": [folder / "none.mp4"],
        "missing sound": [folder / "none.wav"],
        "empty": [folder / "empty.mp4"],
        "text as film": [folder / "text.mp4"],
        "text as sound": [folder / "text.wav"],
        "torn photo": [folder / "torn.png"],
        "empty folder": [folder / "nothing"],
        "two films": [PORTRAIT, PORTRAIT],
    }


@pytest.mark.parametrize(
    "kind",
    [
        "missing",
        "missing sound",
        "empty",
        "text as film",
        "text as sound",
        "torn photo",
        "empty folder",
        "two films",
    ],
)
def test_a_bad_file_gets_one_line_and_exit_code_2(tmp_path: Path, kind: str) -> None:
    done = suasana("replay", *bad_files(tmp_path)[kind], "--jsonl")
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("suasana: ")


def test_the_fingerprint_is_of_the_bytes(tmp_path: Path) -> None:
    for name, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).write_bytes(content)
    a, b, c = (fingerprint([tmp_path / name]) for name in "abc")
    assert a == b != c


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared, which only the team's machines have")
@pytest.mark.parametrize(
    ("name", "people"),
    [
        ("classroom.mp4", 3),
        ("face-demographics-walking-and-pause.mp4", 3),
        ("head-pose-face-detection-male.mp4", 1),
    ],
)
def test_people_in_real_clips_are_found(name: str, people: int) -> None:
    events = list(
        replay(Settings(mood=Mood(min_people=0)), [SHARED / "media" / "intel_sample_videos" / name])
    )
    assert max(event.data.people for event in events) >= people  # type: ignore[union-attr]


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared, which only the team's machines have")
def test_the_official_yunet_is_a_drop_in() -> None:
    faces = Faces(detector="yunet", yunet=str(SHARED / "detectors" / "face_detection_yunet_2023mar.onnx"))
    wanted = Settings(mood=Mood(min_people=5), faces=faces)
    (event,) = replay(wanted, [SHARED / "media" / "azure_face" / "cv_faces.jpg"])
    assert isinstance(event.data, MoodWindow)
    assert (event.data.people, event.data.mood) == (6, "happy")
