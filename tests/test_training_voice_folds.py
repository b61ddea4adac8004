"""training.voice.crossvalidation and what uses it: a corpus of made-up speakers, learned in seconds."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs `make train-env`")
pytest.importorskip("litert_torch", reason="needs `make train-env`")

from edge import manifest, runtimes  # noqa: E402
from edge.types import VOICE_LABELS, SettingsError  # noqa: E402
from tests.test_training_voice import clip, need_gate, tiny, write_corpus, write_model  # noqa: E402
from training import model_toml  # noqa: E402
from training.__main__ import main  # noqa: E402
from training.voice import (  # noqa: E402
    corpora,
    crossvalidation,
    distillation,
    fold_figures,
    fold_report,
    orders,
    recipes,
    train,
)
from training.voice.corpora import Clip, Corpus  # noqa: E402
from training.voice.crossvalidation import Answers  # noqa: E402
from training.voice.recipes import Config  # noqa: E402

MODEL = Path(__file__).parents[1] / "models" / "voice-tone"
CONFIG = recipes.load(recipes.DEFAULT)


def everybody() -> list[Clip]:
    clips = [
        clip("ravdess", f"ravdess_{actor:02}", label) for actor in range(1, 25) for label in VOICE_LABELS
    ]
    clips += [
        clip("nemo", f"nemo_{name}", "sad") for name in ("EB0", "IC0", "KD0", "KS0", "MK0", "MP0", "TP0")
    ]
    clips += [clip("tess", f"tess_{name}", "fear") for name in ("OAF", "YAF")]
    clips += [clip("indowave", f"indowave_0{number}", "happy") for number in range(1, 8)]
    clips += [
        clip("spanish_rcebrian", name, "sad") for name in ("es_0", "es_1", "es_3", "es_5", "es_8", "es_11")
    ]
    return [*clips, *(clip("esc10", f"freesound_{number}", "rain") for number in range(8))]


def test_every_speaker_is_judged_once_by_a_network_that_never_heard_them() -> None:
    clips = everybody()
    unnamed = [clip("ravdess", "ravdess_03", "surprise")]
    parts = crossvalidation.divide(clips, CONFIG, 4, unnamed)
    judged = [one.speaker for part in parts for one in part.judged]
    people = {one.speaker for one in clips if one.corpus in {"ravdess", "nemo", "indowave"}}
    assert people <= set(judged)
    assert not any(name.startswith("tess") for name in judged), "two speakers are no folds"
    for part in parts:
        mine = {one.speaker for one in part.judged}
        splits = corpora.split(clips, part.config)
        assert not mine & {one.speaker for one in (*splits.train, *splits.validation)}
        assert {one.speaker for one in splits.validation}, "thresholds come from somebody"
        assert not mine & {name for other in parts if other is not part for name in other.config.data.test}
        men = {int(name[-2:]) % 2 for name in mine if name.startswith("ravdess")}
        assert men == {0, 1}
    assert parts[-1].config == CONFIG, "the last fold is the recipe itself"
    assert unnamed[0] in parts[0].judged
    assert len(judged) == len({one.path for part in parts for one in part.judged})


@pytest.mark.parametrize("folds", [1, 99])
def test_as_many_folds_as_there_are_people_for(folds: int) -> None:
    with pytest.raises(SettingsError, match="--folds"):
        crossvalidation.divide(everybody(), CONFIG, folds)


def test_a_corpus_left_out_is_nowhere_in_its_training() -> None:
    clips = everybody()
    (part,) = crossvalidation.leave_out(clips, CONFIG, ["nemo"])
    splits = corpora.split(clips, part.config)
    assert not [one for one in (*splits.train, *splits.validation) if one.corpus == "nemo"]
    assert {one.corpus for one in part.judged} == {"nemo"}
    assert "ravdess_19" in {one.speaker for one in splits.train}, (
        "the others' test speakers have nothing to judge"
    )
    with pytest.raises(SettingsError, match="crema"):
        crossvalidation.leave_out(clips, CONFIG, ["crema"])


def answers(name: str, actor: int, right: int, *, negative_below: float = 0.0) -> Answers:
    """Of twelve clips, two a label, the first *right* answered rightly and all others as angry."""
    clips = [clip("ravdess", f"ravdess_{actor:02}", label, n) for n in range(2) for label in VOICE_LABELS]
    clips.append(clip("ravdess", f"ravdess_{actor:02}", "surprise"))
    probs = np.full((13, 6), 0.04)
    for row in range(13):
        probs[row, row % 6 if row < right else 0] = 0.8
    sounds = [clip("deeply_child", "x", "child_reading", n) for n in range(4)]
    heard = np.full((4, 6), 0.04)
    heard[[0, 1, 2, 3], [0, 0, 3, 5]] = 0.8
    heard[1] = [0.6, 0.08, 0.08, 0.08, 0.08, 0.08]
    return Answers(
        name=name,
        clips=clips,
        probs={"tflite": probs, "onnx": probs, "float": probs},
        temperature=1.0,
        uncertain_below=0.5,
        negative_below=negative_below,
        sounds=sounds,
        sound_probs=heard,
        sound_s=1800.0,
    )


def test_figures_of_folds_follow_from_the_answers() -> None:
    found = fold_figures.folds([answers("a", 1, 12), answers("b", 2, 6)])
    assert found["clips"] == 24
    assert found["folds"]["a"]["uar"] == 1
    assert found["folds"]["b"]["uar"] == pytest.approx((1 + 5 * 0.5) / 6, abs=1e-4)
    assert found["mean"]["uar"] == pytest.approx(np.mean([1, 3.5 / 6]), abs=1e-4)
    assert found["sd"]["uar"] == pytest.approx(np.std([1, 3.5 / 6], ddof=1), abs=1e-4)
    assert found["uar"] == pytest.approx((1 + 5 * 0.75) / 6, abs=1e-4)
    assert found["uar_interval_clips"][0] < found["uar"] < found["uar_interval_clips"][1]
    assert found["per_class"]["angry"]["precision"] == pytest.approx(4 / 9, abs=1e-4)
    assert sum(map(sum, found["confusion"])) == 24
    assert found["corpora"]["ravdess"]["unnamed"]["uncertain"] == 0, "it claims anger of surprise"
    assert found["parity"]["headline"]["onnx"]["uar_lost"] == 0
    text = json.dumps(found)
    assert "NaN" not in text
    fold_report.fold_sections(found | {"of": 2})


def test_false_readings_are_counted_by_the_hour_and_fewer_where_more_is_asked() -> None:
    loose = fold_figures.false_readings([answers("a", 1, 12), answers("b", 2, 12)])
    assert (loose["hours"], loose["utterances"], loose["per_hour"]) == (1.0, 8, 4.0)
    assert loose["by_label"] == {"angry": 4}
    assert loose["per_hour_twice"] == 2, "in each of both parts the second anger follows the first"
    asked = fold_figures.false_readings([answers("a", 1, 12, negative_below=0.7)])
    assert (asked["per_hour"], asked["per_hour_without_negative_below"]) == (2.0, 4.0)
    low, high = loose["per_hour_interval"]
    assert low < 4 < high
    assert fold_figures.poisson_interval(0)[1] == pytest.approx(3.69, abs=0.01)


def recipe(config: Config) -> str:
    """A recipe as a file holds it."""
    lines, tables = [], []
    for key, value in asdict(config).items():
        if isinstance(value, dict):
            inner = value.pop("corpora", None)
            tables += [f"[{key}]", *(f"{name} = {json.dumps(one)}" for name, one in value.items())]
            if inner is not None:
                tables += [f"[{key}.corpora]", *(f"{name} = {one}" for name, one in inner.items())]
        else:
            lines.append(f"{key} = {json.dumps(value)}")
    return "\n".join([*lines, *tables]) + "\n"


def test_folds_are_trained_made_int8_judged_reported_and_not_trained_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    need_gate()
    data = tmp_path / "data"
    data.mkdir()
    actors = ["ravdess_01", "ravdess_02", "ravdess_03", "ravdess_17", "ravdess_19", "ravdess_20"]
    clips = [clip("ravdess", actor, label) for actor in actors for label in VOICE_LABELS]
    clips += [clip("ravdess", "ravdess_01", "surprise"), clip("ravdess", "ravdess_17", "calm")]
    clips += [clip("esc10", f"freesound_{number}", "rain") for number in range(8)]
    write_corpus(data, clips)
    shipped = manifest.load(MODEL)
    small = replace(tiny(), input=shipped.input)
    held = replace(small.data, test=actors[4:], validation=["ravdess_17"], corpora={"ravdess": 1.0})
    small = replace(small, epochs=1, examples=64, data=held)
    (tmp_path / "tiny.toml").write_text(recipe(small), "utf-8")
    monkeypatch.chdir(tmp_path)

    def package(candidate: Any, folder: Path, **_: Any) -> None:
        """The shipped files, in a second instead of minutes; tests/test_convert.py makes real ones."""
        assert len(candidate.unmoved) > 0
        folder.mkdir(parents=True)
        files = {}
        for name, file in shipped.files.items():
            shutil.copy(file.path, folder)
            files[name] = replace(file, path=folder / file.path.name)
        model_toml.write(replace(shipped, files=files, folder=folder, metrics={}))

    monkeypatch.setattr("convert.package.package", package)
    command = ["voice", "folds", "--folds", "2", "--data", str(data), "--config", "tiny.toml"]
    command += ["--run", "runs/f", "--threads", "1", "--report", "docs/folds.md", "--out", "page"]
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "unweighted average recall" in shown
    assert {"folds.html", "folds.json", "folds.md", "confusion.png", "labels.png", "reliability.png"} <= {
        path.name for path in (tmp_path / "page").iterdir()
    }
    found = json.loads((tmp_path / "page" / "folds.json").read_text("utf-8"))
    assert found["clips"] == 6 * 6
    assert found["folds"]["fold2of2"]["people"] == actors[4:]
    assert {path.name for path in Path("runs/f").iterdir()} == {"fold1of2", "fold2of2"}
    assert (tmp_path / "docs" / "folds.md").read_text("utf-8").startswith("# ")

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(train, "train", never)
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["uar"] == found["uar"]
    assert main([*command, "--epochs", "2"]) == 2
    assert "another recipe" in capsys.readouterr().err
    shutil.rmtree("runs/f/fold1of2")
    assert main([*command, "--as-they-are", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["folds"].keys() == {"fold2of2"}
    assert main([*command, "--as-they-are", "--run", "runs/none"]) == 2
    assert main([*command, "--epochs", "1,1,1"]) == 2
    assert "--epochs" in capsys.readouterr().err


def test_orders_are_read_and_refused_by_name(tmp_path: Path) -> None:
    found = orders.load(orders.DEFAULT)
    assert [stage.name for stage in found[0].stages] == ["English", "Indonesian"]
    epochs = {sum(stage.epochs for stage in order.stages) for order in found}
    assert len(epochs) == 1, "orders that are compared see as much"
    for text in (
        "",
        "[[orders]]\nname = 'x'\n",
        "[[orders]]\nname='x'\n[[orders.stages]]\nname='y'\nepoch=1\n",
    ):
        (tmp_path / "order.toml").write_text(text, "utf-8")
        with pytest.raises(SettingsError, match="order"):
            orders.load(tmp_path / "order.toml")


@pytest.fixture
def corpus() -> Corpus:
    random = np.random.default_rng(0)
    clips = [clip("ravdess", "ravdess_01", label, n) for label in VOICE_LABELS for n in range(4)]
    clips.append(clip("esc10", "freesound_1", "rain"))
    frames = [random.normal(-3, 0.3, (50, 32)).astype(np.float16) for _ in clips]
    return Corpus(clips, [(5, 45)] * len(clips), [frames, frames])


def test_a_stage_begins_with_what_the_one_before_learned(corpus: Corpus, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    config = replace(tiny(), epochs=1, examples=32)
    first = train.train(config, corpus, corpus, tmp_path / "1", quiet=True)
    still = replace(config, optimiser=replace(config.optimiser, rate=0.0))
    second = train.train(still, corpus, corpus, tmp_path / "2", start=first, quiet=True)
    for name, value in first.named_parameters():
        torch.testing.assert_close(dict(second.named_parameters())[name], value)
    with pytest.raises(SettingsError, match="start"):
        train.train(still, corpus, corpus, tmp_path / "2", quiet=True)


def test_a_teacher_moves_the_targets_of_what_it_knows(corpus: Corpus, tmp_path: Path) -> None:
    config = replace(tiny(), teacher_share=0.25, augment=replace(tiny().augment, smoothing=0.0))
    teaching = np.full((len(corpus.clips), 6), np.nan)
    teaching[:24] = np.eye(6)[5]
    plain = train.Examples(corpus, config)._targets
    taught = train.Examples(corpus, config, teaching)._targets
    np.testing.assert_allclose(taught[:24], 0.75 * plain[:24] + 0.25 * np.eye(6)[5])
    np.testing.assert_array_equal(taught[24], plain[24])
    np.testing.assert_allclose(taught.sum(1), 1, rtol=1e-6)


def test_a_shipped_model_and_a_fine_tuned_one_may_teach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_gate()
    clips = [clip("ravdess", "ravdess_01", label) for label in ("angry", "neutral")]
    clips.append(clip("esc10", "freesound_1", "rain"))
    write_corpus(tmp_path, clips)
    cache = tmp_path / "cache"
    said = distillation.ask(MODEL, clips, tmp_path, cache, tmp_path / "run", quiet=True)
    np.testing.assert_allclose(said[:2].sum(1), 1)
    assert np.isnan(said[2]).all()
    for one in clips:
        (tmp_path / one.path).write_bytes(b"")
    again = distillation.ask(MODEL, clips, tmp_path, cache, tmp_path / "run", quiet=True)
    np.testing.assert_array_equal(again, said)
    with pytest.raises(SettingsError, match="--teacher"):
        distillation.ask(tmp_path / "nobody", clips, tmp_path, cache, tmp_path / "run", quiet=True)

    pytest.importorskip("transformers", reason="needs `make train-env`")
    from training.voice.teacher import wav2vec2  # noqa: PLC0415

    write_corpus(tmp_path, clips)
    wav2vec2.write_untrained(tmp_path / "hub", "tiny")
    labels = list(reversed(VOICE_LABELS))
    wav2vec2.load(str(tmp_path / "hub"), labels).save(tmp_path / "teacher" / "model")
    told = distillation.ask(tmp_path / "teacher", clips, tmp_path, cache, tmp_path / "run2", quiet=True)
    np.testing.assert_allclose(told[:2].sum(1), 1)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text("{}", "utf-8")
    with pytest.raises(SettingsError, match="neither a model folder"):
        distillation.ask(tmp_path / "other", clips, tmp_path, cache, tmp_path / "run3", quiet=True)


def test_what_is_tried_for_negative_claims_is_calm_speech_as_it_is_and_higher(corpus: Corpus) -> None:
    config = tiny()
    calm = corpus.select(one for one in corpus.clips if one.label == "neutral")
    outliers = corpus.select(one for one in corpus.clips if one.label is None)
    found = train.unmoved(outliers, calm, config)
    assert found.shape == (1 + 4 * (1 + len(train.CHILD_FACTORS)), config.input.frames, 32, 1)
    np.testing.assert_allclose(found[1:5], train.centred(calm, config)[0], rtol=1e-5)


def test_edited_corpora_are_read_over_noise(tmp_path: Path) -> None:
    from edge.tone import ToneReader  # noqa: PLC0415
    from training.voice.hearing import Heard  # noqa: PLC0415

    model = write_model(tmp_path, tiny())
    heard: list[np.ndarray] = []

    class Ear(ToneReader):
        def __call__(self, utterance: Any) -> Any:
            heard.append(utterance.samples)
            return super().__call__(utterance)

    silent = np.zeros(16_000, np.float32)
    silent[4000:8000] = 0.2
    for corpus_name in ("indowave", "ravdess"):
        one = Heard(clip(corpus_name, "a", "happy"), 1.0, [], silent)
        crossvalidation.read_clip(Ear(model, runtimes.load(model, "fake")), one)
    assert (heard[0] == 0).sum() == 0
    assert (heard[1] == 0).sum() == 12_000


def test_a_shipped_model_learns_from_which_probability_on_it_may_be_negative(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    need_gate()
    clips = [clip("ravdess", "ravdess_17", "neutral"), clip("ravdess", "ravdess_01", "sad")]
    clips.append(clip("esc10", "freesound_6", "rain"))
    write_corpus(tmp_path, clips)
    model = shutil.copytree(MODEL, tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    command = ["voice", "claims", "--model", str(model), "--data", str(tmp_path)]
    assert main([*command, "--version", "9.9.9"]) == 0
    assert "negative below" in capsys.readouterr().out
    before, after = manifest.load(MODEL), manifest.load(model)
    assert after.version == "9.9.9"
    assert (after.temperature, after.uncertain_below) == (before.temperature, before.uncertain_below)
    assert after.metrics == before.metrics
    (tmp_path / "other.toml").write_text(recipe(tiny()), "utf-8")
    assert main([*command, "--config", "other.toml"]) == 2
    assert "does not hear" in capsys.readouterr().err
