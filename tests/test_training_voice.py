"""training.voice*: a tiny corpus of coloured noise, learned in seconds."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import soundfile  # noqa: E402

from edge import runtimes  # noqa: E402
from edge.manifest import Manifest  # noqa: E402
from edge.models import weights  # noqa: E402
from edge.preprocess import FrontEnd  # noqa: E402
from edge.tone import ToneReader  # noqa: E402
from edge.types import VOICE_LABELS, EdgeError, FloatArray, ModelError, SettingsError, Utterance  # noqa: E402
from training.__main__ import main  # noqa: E402
from training.voice import augment, corpora, evaluation, recipes, train  # noqa: E402
from training.voice.corpora import Clip, Corpus  # noqa: E402
from training.voice.net import VoiceNet  # noqa: E402
from training.voice.recipes import Config  # noqa: E402

MODEL = Path(__file__).parents[1] / "models" / "voice-tone"
QUIET: dict[str, Any] = {
    "reverb": 0.0,
    "tilt_db": 0.0,
    "noise": 0.0,
    "scene": 0.0,
    "narrow": 0.0,
    "masks": 0,
    "mixup": 1e-3,
    "smoothing": 0.0,
}


def tiny() -> Config:
    """The shipped recipe, shrunk: seconds instead of minutes."""
    config = recipes.load(recipes.DEFAULT)
    return replace(
        config,
        epochs=3,
        examples=256,
        batch=16,
        net=replace(config.net, widths=[8, 8, 16, 16], dropout=0.0),
        input=replace(config.input, mels=32, duration_s=0.5),
        optimiser=replace(config.optimiser, rate=1e-2, ema=0.5),
        augment=replace(config.augment, speeds=[0.9, 1.0]),
    )


def clip(corpus: str, speaker: str, kind: str, number: int = 0) -> Clip:
    return Clip(f"{corpus}/{speaker}-{kind}-{number}.wav", corpus, speaker, kind)


def energies(label: str | None, random: np.random.Generator) -> np.ndarray:
    """A clip whose label is a band that stands out; log10, frames x 32."""
    frames = random.gamma(3.0, 1.0, (50, 32)) * 1e-3
    if label is not None:
        frames[:, 5 * VOICE_LABELS.index(label) :][:, :4] *= 300
    return np.log10(frames).astype(np.float16)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Nets this small lose more by sharing their work than they gain."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    random = np.random.default_rng(0)
    clips = [
        clip("ravdess", f"ravdess_{speaker:02}", label, number)
        for speaker in (1, 2)
        for label in VOICE_LABELS
        for number in range(4)
    ]
    clips += [clip("esc10", f"freesound_{number}", "rain") for number in range(4)]
    spans = [(5, 45)] * len(clips)
    return Corpus(clips, spans, [[energies(one.label, random) for one in clips] for _ in range(2)])


def write_corpus(folder: Path, clips: list[Clip]) -> None:
    random = np.random.default_rng(1)
    with (folder / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "corpus", "speaker", "emotion"])
        for one in clips:
            rows.writerow([one.path, one.corpus, one.speaker, one.kind])
            path = folder / one.path
            path.parent.mkdir(exist_ok=True)
            soundfile.write(path, random.normal(0, 0.1, 16_000), 16_000)


def need_gate() -> None:
    try:
        weights.find("silero-vad")
    except ModelError as error:
        pytest.skip(str(error))


def test_a_recipe_with_an_unknown_key_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "voice.toml"
    path.write_text(recipes.DEFAULT.read_text("utf-8") + "\nloudness = 1\n", "utf-8")
    with pytest.raises(SettingsError, match="loudness"):
        recipes.load(path)


def test_the_recipe_survives_a_checkpoint() -> None:
    from dataclasses import asdict  # noqa: PLC0415

    config = recipes.load(recipes.DEFAULT)
    assert recipes.parse(json.loads(json.dumps(asdict(config))), "checkpoint") == config


def test_no_data_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["voice", "explore", "--data", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_speakers_stay_apart_and_the_only_child_measures() -> None:
    config = recipes.load(recipes.DEFAULT)
    clips = [clip("ravdess", f"ravdess_{actor:02}", "sad") for actor in range(1, 25)]
    clips += [clip("esc10", f"freesound_{number}", "rain") for number in range(200)]
    clips += [clip("deeply_child", "sub3004b", "child_reading"), clip("a_new_one", "x", "sad")]
    parts = corpora.split(clips, config)
    people = [{one.speaker for one in part} for part in (parts.train, parts.validation, parts.test)]
    assert sum(map(len, people)) == len(set.union(*people))
    assert {f"ravdess_{actor}" for actor in range(19, 25)} <= people[2]
    assert "sub3004b" in people[2]
    assert "x" in people[2]
    outliers = [sum(one.corpus == "esc10" for one in part) for part in (parts.train, parts.test)]
    assert min(outliers) > 60


def test_no_corpus_and_no_class_in_one_prevails() -> None:
    config = recipes.load(recipes.DEFAULT)
    clips = [clip("ravdess", "a", "sad", number) for number in range(30)]
    clips += [clip("ravdess", "a", "neutral"), clip("ravdess", "a", "calm")]
    clips += [clip("tess", "b", "happiness"), clip("esc10", "c", "rain")]
    found = train.chances(Corpus(clips, [], []), config)
    shares = config.data.corpora
    assert found.sum() == pytest.approx(1)
    assert found[:30].sum() == pytest.approx(found[30:32].sum())
    assert found[31] == pytest.approx(config.data.calm * found[30])
    assert found[:32].sum() / found[32] == pytest.approx(shares["ravdess"] / shares["tess"])
    assert found[33] / found[32] == pytest.approx(config.data.outliers / shares["tess"])


@pytest.mark.parametrize(("span", "frames"), [((20, 40), 50), ((10, 95), 50), ((0, 100), 200)])
def test_a_stretch_holds_the_speech_or_lies_within_it(span: tuple[int, int], frames: int) -> None:
    numbered = np.log10(np.arange(1, 101, dtype=np.float32))[:, None].repeat(4, 1).astype(np.float16)
    random = np.random.default_rng(2)
    for _ in range(50):
        stretch = augment.cut(numbered, span, frames, random)
        assert stretch.shape == (frames, 4)
        there = stretch[stretch[:, 0] > 0, 0]
        if span[1] - span[0] <= frames:
            assert there.min() < span[0] + 1.5
            assert there.max() > span[1] - 1.5
        else:
            assert there.min() > span[0] + 0.5
            assert len(there) == frames


def test_colour_without_any_amount_changes_nothing() -> None:
    amounts = replace(tiny().augment, **QUIET)
    batch = np.random.default_rng(3).gamma(2.0, 1.0, (4, 20, 32)).astype(np.float32)
    same = augment.colour(batch, batch[::-1], amounts, 0.015, np.random.default_rng(4))
    np.testing.assert_allclose(same, batch, rtol=1e-5)


def test_rooms_and_noise_only_add() -> None:
    amounts = replace(tiny().augment, **QUIET | {"reverb": 1.0, "noise": 1.0, "scene": 1.0})
    batch = np.zeros((4, 20, 32), np.float32)
    batch[:, 5] = 1.0
    scenes = np.ones_like(batch)
    heard = augment.colour(batch, scenes, amounts, 0.015, np.random.default_rng(5))
    assert (heard >= batch * 0.999).all()
    assert (heard[:, 6:] > 0).all()


def test_blends_keep_targets_whole() -> None:
    random = np.random.default_rng(6)
    wanted = np.eye(6, dtype=np.float32)[random.integers(0, 6, 16)]
    pictures = random.normal(size=(16, 20, 32)).astype(np.float32)
    mixed, targets = augment.mix(pictures, wanted, tiny().augment, random)
    np.testing.assert_allclose(targets.sum(1), 1, rtol=1e-6)
    assert mixed.shape == pictures.shape
    assert mixed.dtype == targets.dtype == np.float32


def test_training_learns_and_goes_on_where_it_was_killed(corpus: Corpus, tmp_path: Path) -> None:
    config = replace(tiny(), augment=replace(tiny().augment, **QUIET))
    whole = train.train(config, corpus, corpus, tmp_path / "whole", quiet=True)

    kept = train.save
    saves: list[Path] = []

    def save_once(state: dict[str, object], path: Path) -> None:
        if saves:
            raise KeyboardInterrupt
        saves.append(path)
        kept(state, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "save", save_once)
        with pytest.raises(KeyboardInterrupt):
            train.train(config, corpus, corpus, tmp_path / "cut", quiet=True)
    again = train.train(config, corpus, corpus, tmp_path / "cut", quiet=True)
    for one, other in zip(whole.state_dict().values(), again.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other)

    pictures, truth = train.centred(corpus, config)
    right = train.predict(whole, pictures).argmax(1) == truth
    assert right.mean() > 0.5
    loaded, recipe = train.load_net(tmp_path / "whole")
    np.testing.assert_array_equal(train.predict(loaded, pictures), train.predict(whole, pictures))
    assert recipe == config

    with pytest.raises(SettingsError, match="another recipe"):
        train.train(replace(config, seed=8), corpus, corpus, tmp_path / "whole", quiet=True)


def test_the_network_takes_any_length_and_reads_the_whole_mel_axis() -> None:
    net = VoiceNet(6, 32, [8, 8, 16], 0.0).eval()
    assert net(torch.rand(2, 1, 50, 32)).shape == (2, 6)
    assert net(torch.rand(1, 1, 90, 32)).shape == (1, 6)


def test_clips_go_through_gate_and_front_end_once(tmp_path: Path) -> None:
    need_gate()
    clips = [clip("ravdess", "ravdess_01", label) for label in VOICE_LABELS]
    write_corpus(tmp_path, clips)
    config = tiny()
    first = corpora.load(clips, tmp_path, config, tmp_path / "cache", quiet=True)
    for one in clips:
        (tmp_path / one.path).unlink()
    second = corpora.load(clips, tmp_path, config, tmp_path / "cache", quiet=True)
    assert second.clips == clips
    assert first.spans == second.spans
    slow, plain = first.frames
    assert len(slow[0]) > len(plain[0])
    random = np.random.default_rng(1)
    samples = random.normal(0, 0.1, 16_000).astype(np.float32)
    expected: FloatArray = np.log10(FrontEnd(config.input).energies(samples))
    # The file holds 16-bit samples and the cache 16-bit numbers.
    np.testing.assert_allclose(plain[0].astype(np.float32), expected, atol=0.02)


def write_model(folder: Path, config: Config) -> Manifest:
    """A model folder whose runtime is the fake one: no weights, real arithmetic around them."""
    return Manifest(
        name="voice-tone",
        version="0.0.1",
        task="tone",
        labels=VOICE_LABELS,
        temperature=1.0,
        uncertain_below=0.3,
        input=config.input,
        files={},
        metrics={},
        folder=folder,
    )


def test_figures_follow_from_the_answers(tmp_path: Path) -> None:
    model = write_model(tmp_path, tiny())
    clips = [clip("ravdess", f"ravdess_{speaker}", label) for speaker in (19, 20) for label in VOICE_LABELS]
    truth = np.tile(np.arange(6), 2)
    answers = truth.copy()
    answers[[0, 6, 7]] = 5  # both angry clips and one disgusted one sound neutral
    probs = np.full((12, 6), 0.1)
    probs[np.arange(12), answers] = 0.5
    probs[7] = 1 / 6
    probs[7, 5] += 1e-6
    found = evaluation.figures(evaluation.Reading(clips, truth, probs), model)
    assert found["uar"] == pytest.approx((0 + 0.5 + 4) / 6, abs=1e-4)
    assert found["accuracy"] == pytest.approx(9 / 12)
    assert found["claimed"] == pytest.approx(11 / 12, abs=1e-4)
    assert found["claimed_accuracy"] == pytest.approx(9 / 11, abs=1e-4)
    assert found["uar_interval"][0] <= found["uar"] <= found["uar_interval"][1]
    assert found["speakers"] == 2


def test_only_sound_without_emotion_can_be_read_falsely(tmp_path: Path) -> None:
    config = tiny()
    model = write_model(tmp_path, config)
    noise = np.random.default_rng(2).normal(0, 0.1, 16_000).astype(np.float32)
    utterance = Utterance(0.0, 1.0, noise)
    heard = [
        evaluation.Heard(clip("esc10", "a", "rain"), 1800.0, [utterance], noise),
        evaluation.Heard(clip("esc10", "b", "rain"), 1800.0, [], noise),
        evaluation.Heard(clip("deeply_nonverbal", "c", "crying"), 1800.0, [utterance], noise),
        evaluation.Heard(clip("ravdess", "d", "sad"), 1800.0, [utterance], noise),
    ]
    label, _ = ToneReader(model, runtimes.load(model, "fake"))(utterance).best
    found = evaluation.false_readings(model, heard, "fake")
    assert found["false_hours"] == 1.0
    assert found["false_utterances"] == found["false_claimed"] == 1
    assert found["false_per_hour"] == float(label in evaluation.NEGATIVE)
    assert found["false_per_hour_twice"] == 0, "there was one utterance of each"
    more = [*heard[:1], evaluation.Heard(heard[0].clip, 1800.0, [utterance], noise)]
    found = evaluation.false_readings(model, more, "fake")
    assert found["false_per_hour_twice"] == float(label in evaluation.NEGATIVE)
    sure = evaluation.false_readings(replace(model, uncertain_below=0.99), heard, "fake")
    assert sure["false_per_hour"] == sure["false_claimed"] == 0


def test_the_shipped_files_are_judged_on_speakers_kept_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    need_gate()
    clips = [clip("ravdess", f"ravdess_{actor}", one) for actor in (1, 19, 20) for one in VOICE_LABELS]
    clips += [clip("ravdess", "ravdess_19", "calm"), clip("esc10", "freesound_1", "rain")]
    write_corpus(tmp_path, clips)
    report = tmp_path / "report"
    code = main(
        [
            "voice",
            "evaluate",
            "--model",
            str(MODEL),
            "--data",
            str(tmp_path),
            "--json",
            "--report",
            str(report),
        ]
    )
    table = json.loads(capsys.readouterr().out)
    assert code == 0
    assert table["clips"] == 12
    assert table["speakers"] == 2
    assert set(table["formats"]) == {"tflite", "onnx"}
    assert set(table["per_class_recall"]) == set(VOICE_LABELS)
    assert 0 < table["parameters"] < 600_000
    assert table["unheard"] == 1.0  # noise is no speech, and is read all the same
    assert (report / "confusion.png").stat().st_size > 0


def test_a_torn_clip_is_named(tmp_path: Path) -> None:
    path = tmp_path / "torn.ogg"
    path.write_bytes(b"OggS but no more")
    with pytest.raises(EdgeError, match="torn"):
        corpora.read_sound(path)
