"""The teacher's baselines and what they stand on: pitch, speech cut out, folds without a shared speaker."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs `make train-env`")
pytest.importorskip("sklearn", reason="needs `make train-env`")

import soundfile  # noqa: E402

from edge.models import weights  # noqa: E402
from edge.preprocess import FrontEnd  # noqa: E402
from edge.types import RATE_HZ, FloatArray, ModelError, SettingsError, Utterance  # noqa: E402
from training.__main__ import main  # noqa: E402
from training.voice import recipes, speech  # noqa: E402
from training.voice.teacher import baselines, cepstra, learners  # noqa: E402
from training.voice.teacher.learners import LEARNERS, Part  # noqa: E402

SPEC = recipes.load(recipes.DEFAULT).input
TWO = ("angry", "sad")


def need_gate() -> None:
    try:
        weights.find("silero-vad")
    except ModelError as error:
        pytest.skip(str(error))


def voice(hertz: float, seconds: float = 1.0, seed: int = 0) -> FloatArray:
    """A buzz with harmonics that fall off, as a voice has, in a little noise."""
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    sound = sum(np.sin(2 * np.pi * number * hertz * time_s) / number for number in range(1, 9))
    noise = np.random.default_rng(seed).normal(0, 0.01, len(time_s))
    return np.asarray(0.1 * sound + noise, np.float32)


def clips(folder: Path, actors: int, labels: tuple[str, ...] = TWO) -> Path:
    """A corpus in which a class has its pitch and every actor a loudness of their own."""
    folder.mkdir()
    with (folder / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "corpus", "speaker", "emotion"])
        for actor in range(1, actors + 1):
            for place, label in enumerate([*labels, "calm"]):
                name = f"{actor}-{label}.wav"
                rows.writerow([name, "ravdess", f"ravdess_{actor:02}", label])
                samples = voice(110 * 1.6**place + actor, 0.7, actor)
                soundfile.write(folder / name, samples / (1 + actor), RATE_HZ)
        rows.writerow(["gone.wav", "tess", "tess_1", "sad"])
    return folder


@pytest.mark.parametrize("hertz", [75.0, 118.0, 220.0, 431.0])
def test_pitch_of_a_known_buzz(hertz: float) -> None:
    found, strength = cepstra.pitch(voice(hertz), 640, 240)
    assert abs(np.median(found) / hertz - 1) < 0.01
    assert np.median(strength) > 0.85


def test_noise_has_no_pitch_and_a_buzz_has_it_throughout() -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, RATE_HZ).astype(np.float32)
    front = FrontEnd(SPEC)
    names = cepstra.names()
    shares = [
        cepstra.describe(cepstra.track(sound, front), SPEC.hop_s)[names.index("voiced_share")]
        for sound in (noise, voice(150))
    ]
    assert shares[0] < 0.1
    assert shares[1] > 0.95


def test_features_ignore_loudness_and_their_names_fit() -> None:
    front = FrontEnd(SPEC)
    loud, quiet = (cepstra.track(scale * voice(200), front) for scale in (1.0, 0.01))
    np.testing.assert_allclose(loud, quiet, atol=1e-2)
    assert loud.shape[1] == len(cepstra.TRACKS)
    assert len(cepstra.describe(loud, SPEC.hop_s)) == len(cepstra.names())
    assert np.isfinite(cepstra.describe(cepstra.track(voice(200, 0.02), front), 0.015)).all()


def test_a_wavering_voice_has_more_jitter_and_shimmer() -> None:
    time_s = np.arange(RATE_HZ) / RATE_HZ
    front, names = FrontEnd(SPEC), cepstra.names()

    def measured(waver: float) -> FloatArray:
        random = np.random.default_rng(2)
        steps = np.repeat(random.uniform(-1, 1, 40), RATE_HZ // 40)
        phase = 2 * np.pi * np.cumsum(180 * (1 + 0.06 * waver * steps)) / RATE_HZ
        sound = sum(np.sin(number * phase) / number for number in range(1, 7))
        frames = cepstra.track(
            np.asarray(0.1 * sound * (1 + 0.5 * waver * steps), np.float32) * (time_s < 2), front
        )
        numbers = cepstra.describe(frames, SPEC.hop_s)
        return numbers[[names.index("jitter"), names.index("shimmer")]]

    assert (measured(1.0) > 3 * measured(0.0)).all()


def test_speech_is_cut_out_by_the_gate_or_by_energy_and_put_at_one_level() -> None:
    samples = np.concatenate([np.zeros(8000, np.float32), voice(200), np.zeros(8000, np.float32)])
    first, end = speech.spoken(samples, [])
    assert abs(first - 8000) <= speech.WINDOW
    assert abs(end - 24000) <= speech.WINDOW
    heard = [Utterance(0.1, 0.4, samples), Utterance(0.8, 0.2, samples)]
    assert speech.spoken(samples, heard) == (1600, 16000)
    for scale in (1e-3, 1.0):
        level = speech.levelled(scale * samples)
        assert np.sqrt((level[8192:23552] ** 2).mean()) == pytest.approx(speech.LEVEL, rel=0.02)
    assert not speech.levelled(np.zeros(100, np.float32)).any()


def test_stretches_cover_a_clip_and_a_floor_hides_digital_silence() -> None:
    long, short = np.ones(2500, np.float32), np.ones(400, np.float32)
    assert [one.sum() for one in speech.stretches(long, 1000)] == [1000, 1000, 1000]
    (only,) = speech.stretches(short, 1000)
    assert only[300:700].all()
    assert only.sum() == 400
    floored = speech.floored(only, -40.0, np.random.default_rng(0))
    assert (floored[:300] != 0).all()
    assert floored[:300].std() == pytest.approx(speech.LEVEL / 100, rel=0.2)


def test_folds_share_no_speaker_and_judge_everybody_once() -> None:
    speakers = np.random.default_rng(3).integers(0, 11, 200)
    parts = baselines.divide(speakers, 4)
    people = [set(speakers[part]) for part in parts]
    assert sum(map(len, people)) == len(set.union(*people)) == len(set(speakers))
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(200))


@pytest.mark.parametrize("name", LEARNERS)
def test_every_learner_learns_what_is_there_and_nothing_else(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learners, "EPOCHS", 12)
    monkeypatch.setattr(learners, "TREES", 40)
    random = np.random.default_rng(4)

    def part(count: int, told: float) -> Part:
        truth = np.where(np.arange(count) % 4 == 0, 2, np.arange(count) % 2).astype(np.int64)
        rows = random.normal(size=(count, 12)).astype(np.float32)
        pictures = random.normal(size=(count, 21, 5)).astype(np.float32)
        rows[np.arange(count), truth] += told
        pictures[np.arange(count), :, truth] += told
        return Part(rows, pictures, truth, np.arange(count) % 5)

    training, test = part(120, 4.0), part(60, 4.0)
    said = LEARNERS[name](training, test, 1)
    assert said.dtype == np.int64
    assert (said == test.truth).mean() > 0.9
    blind = LEARNERS[name](part(120, 0.0), part(60, 0.0), 1)
    assert (blind == test.truth).mean() < 0.65


def test_the_comparison_is_a_table_a_page_and_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    need_gate()
    data = clips(tmp_path / "data", 4)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(baselines, "LEARNERS", {name: LEARNERS[name] for name in ("SVM (RBF)", "CNN")})
    monkeypatch.setattr(learners, "EPOCHS", 4)
    model = tmp_path / "model"
    model.mkdir()
    shipped = Path(__file__).parents[1] / "models" / "voice-tone"
    for path in shipped.iterdir():
        text = path.read_bytes()
        if path.name == "model.toml":
            names = b'held_out_speakers = ["ravdess_03", "ravdess_04"]'
            text = re.sub(rb"held_out_speakers = .*", names, text)
        (model / path.name).write_bytes(text)
    line = ["voice", "baselines", "--data", str(data), "--folds", "2", "--threads", "1"]
    assert main([*line, "--model", str(model), "--json", "--out", str(tmp_path / "out")]) == 0
    table = json.loads(capsys.readouterr().out)
    assert table["clips"] == 8
    assert table["labels"] == list(TWO)
    assert table["folds"] == [["ravdess_01", "ravdess_02"], ["ravdess_03", "ravdess_04"]]
    found = table["learners"]["SVM (RBF)"]
    assert found["uar"] == found["uar_mean"] == found["uar_student_speakers"] == 1.0
    assert found["uar_interval"] == [1.0, 1.0]
    assert found["uar_sd"] == 0.0
    assert table["student"]["uar"] > 0
    page = (tmp_path / "out" / "baselines.md").read_text("utf-8")
    assert "student: voice-tone" in page
    assert "test figure, over 2 actors" in page
    assert (tmp_path / "out" / "baselines.png").stat().st_size > 10_000
    assert json.loads((tmp_path / "out" / "baselines.json").read_text("utf-8")) == table

    caches = sorted((tmp_path / "runs" / "cache").rglob("*.np*"))
    before = [path.stat().st_mtime_ns for path in caches]
    assert len(before) == 3
    assert main([*line, "--model", str(tmp_path / "no-model")]) == 0
    assert "student" not in capsys.readouterr().out
    assert [path.stat().st_mtime_ns for path in caches] == before


def test_what_cannot_be_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    need_gate()
    data = clips(tmp_path / "data", 2)
    for folds in ("1", "3"):
        assert main(["voice", "baselines", "--data", str(data), "--folds", folds]) == 2
        assert "2 to the number of actors, 2" in capsys.readouterr().err
    (data / "2-sad.wav").unlink()
    with pytest.raises(SettingsError, match=r"2-sad\.wav"):
        baselines.compare(data, tmp_path / "cache", 2, tmp_path, learners={}, quiet=True)
