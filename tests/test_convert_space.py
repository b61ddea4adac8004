"""The folder that `convert space` writes, and what its page answers to good and bad files."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import string
import subprocess
import sys
import wave
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import soundfile

pytest.importorskip("PIL", reason="needs `make train-env`")

from PIL import Image

from convert import space
from convert.__main__ import main
from edge import demo
from edge.models import weights
from edge.types import EdgeError, Scores
from tests.conftest import ROOT

MODELS = ROOT / "models"
RATE_HZ = 16_000
PORTRAITS = {"astronaut.png": "happy", "grace_hopper.jpg": None}
"""Expression that the demo's portraits certainly show, or None."""
TEXTS = {name: json.loads((space.PAGE / f"{name}.json").read_text("utf-8")) for name in ("id", "en")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("space") / "folder"
    space.write(out, MODELS)
    return out


@pytest.fixture(scope="module")
def page(folder: Path) -> Iterator[SimpleNamespace]:
    """The generated code, imported from the folder, with both readers loaded."""
    sys.path.insert(0, str(folder))
    try:
        part = SimpleNamespace(
            **{
                name: importlib.import_module(f"space.{name}")
                for name in ("answers", "face", "look", "voice", "voice_view", "words")
            }
        )
        part.voices, part.faces = part.voice.VoiceReader(folder), part.face.FaceReader(folder)
        part.hear = lambda path: part.answers.about_voice(part.voices, path and str(path))
        part.see = lambda path: part.answers.about_face(part.faces, path and str(path))
        yield part
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.split(".")[0] == "space"]:
            del sys.modules[name]


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = demo.speak(tmp_path_factory.mktemp("speech"))
    if path is None:
        pytest.skip("espeak-ng is not installed")
    return path


def lines(html: str) -> dict[str, str]:
    """What the line of trouble says, by language; none when there is no trouble."""
    told = re.search(r'<p class="line" role="alert">(.*?)</p>', html)
    spans = re.findall(r'<span class="(id|en)" lang="\1">(.*?)</span>', told[1]) if told else []
    return {language: unescape(text) for language, text in spans}


def write_sound(path: Path, seconds: float, draw: Callable[[int], np.ndarray], **how: str) -> Path:
    soundfile.write(path, draw(round(seconds * RATE_HZ)).astype(np.float32), RATE_HZ, **how)
    return path


def noise(count: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.05, count)


# ── The folder ───────────────────────────────────────────────────────────────────────────────────────


def test_the_folder_holds_what_a_space_needs_and_nothing_else(folder):
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert {"README.md", "NOTICE", "LICENSE", "requirements.txt", "app.py", ".gitattributes"} <= files
    for model in space.MODELS:
        kept = {"model.toml", "MODEL_CARD.md", "model.int8.tflite", "model.int8.onnx"}
        assert {file for file in files if file.startswith(f"models/{model}/")} == {
            f"models/{model}/{name}" for name in kept
        }
    assert {path.suffix for path in folder.rglob("*") if path.is_file()} <= {
        "", ".css", ".json", ".md", ".onnx", ".py", ".svg", ".tflite", ".toml", ".txt",
    }  # fmt: skip
    assert not [file for file in files if "__pycache__" in file]
    assert "edge/daemon.py" not in files
    assert "edge/tone.py" in files
    for path in folder.rglob("*"):
        if path.is_file():
            assert path.stat().st_size < (3e6 if path.suffix in {".onnx", ".tflite"} else 2e5), path


def test_nothing_in_the_folder_names_this_machine_or_this_package(folder):
    home = str(Path.home()).encode()
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert str(ROOT).encode() not in data, path
            assert home + b"/" not in data, path
            assert b"import convert" not in data, path
            assert b"from convert" not in data, path


def test_the_front_matter_is_yaml_and_pins_what_is_tested(folder):
    yaml = pytest.importorskip("yaml")
    empty, front, body = (folder / "README.md").read_text("utf-8").split("---\n", 2)
    assert not empty
    matter = yaml.safe_load(front)
    wanted = (folder / "requirements.txt").read_text("utf-8").splitlines()
    assert f"gradio=={matter['sdk_version']}" in wanted
    assert matter["sdk"] == "gradio"
    assert (folder / matter["app_file"]).is_file()
    assert (folder / matter["license_link"]).is_file()
    assert len(matter["short_description"]) <= 60
    assert {"title", "emoji", "colorFrom", "colorTo", "license", "pinned"} <= matter.keys()
    assert "{" not in body


def test_notice_and_attributes_cover_every_file_of_somebody_else(folder):
    notice = (folder / "NOTICE").read_text("utf-8")
    for path in (folder / "weights").iterdir():
        assert f"weights/{path.name}" in notice
        assert f"*{path.suffix} filter=lfs" in (folder / ".gitattributes").read_text("utf-8")
    assert notice.count("Permission is hereby granted, free of charge") == 1
    for name in space.WEIGHTS:
        assert weights.listed()[name].licence == "MIT"


def test_the_folder_stands_alone(folder, tmp_path):
    photo = weights.find("portrait-smiling")
    script = f"""
import sys
sys.path.insert(0, {str(folder)!r})
from pathlib import Path
import edge
from space.face import FaceReader
from space.voice import VoiceReader
root = Path({str(folder)!r})
assert Path(edge.__file__).is_relative_to(root), edge.__file__
VoiceReader(root)
seen = FaceReader(root)(Path({str(photo)!r}))
assert not {{"torch", "paho", "convert", "training"}} & set(sys.modules)
print(seen.faces[0].scores.best[0])
"""
    done = subprocess.run(
        [sys.executable, "-I", "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert (done.stdout, done.stderr, done.returncode) == ("happy\n", "", 0)


def test_the_command_says_what_to_do_next(tmp_path, capsys):
    out = tmp_path / "space"
    assert main(["space", "--out", str(out), "--models", str(MODELS)]) == 0
    assert f"python {out}/app.py --port 7860" in capsys.readouterr().out


def test_a_space_is_written_over_and_keeps_what_is_not_ours(folder, tmp_path):
    out = tmp_path / "checkout"
    shutil.copytree(folder, out)
    (out / ".git").mkdir()
    (out / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    (out / "edge" / "gone.py").write_text("")
    (out / "notes.txt").write_text("mine")
    space.write(out, MODELS)
    assert (out / ".git" / "HEAD").exists()
    assert (out / "notes.txt").exists()
    assert not (out / "edge" / "gone.py").exists()


def test_a_folder_of_something_else_is_left_alone(tmp_path, capsys):
    (tmp_path / "README.md").write_text("# Thesis\n")
    (tmp_path / "models").mkdir()
    assert main(["space", "--out", str(tmp_path), "--models", str(MODELS)]) == 2
    assert "holds something that is no Space" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.md", "models"]
    assert main(["space", "--out", str(tmp_path / "README.md"), "--models", str(MODELS)]) == 2
    assert "is a file" in capsys.readouterr().err


def test_altered_or_swapped_models_are_refused(tmp_path, capsys):
    models = tmp_path / "models"
    shutil.copytree(MODELS, models)
    with (models / "voice-tone" / "model.int8.onnx").open("ab") as file:
        file.write(b"x")
    assert main(["space", "--out", str(tmp_path / "out"), "--models", str(models)]) == 2
    assert "altered or torn" in capsys.readouterr().err
    shutil.rmtree(models / "voice-tone")
    shutil.copytree(MODELS / "face-expression", models / "voice-tone")
    assert main(["space", "--out", str(tmp_path / "out"), "--models", str(models)]) == 2
    assert "is a model for expression, not for tone" in capsys.readouterr().err
    assert main(["space", "--out", str(tmp_path / "out"), "--models", str(tmp_path / "none")]) == 2
    assert not (tmp_path / "out").exists()


def test_a_page_that_reaches_for_the_workshop_is_refused(tmp_path):
    (tmp_path / "more.py").write_text("def late():\n    from training import nets\n")
    with pytest.raises(EdgeError, match="the Space has no training"):
        space.reached([tmp_path / "more.py"])


# ── Words ────────────────────────────────────────────────────────────────────────────────────────────


def test_both_languages_say_everything_with_the_same_blanks():
    assert TEXTS["id"].keys() == TEXTS["en"].keys()
    for key, text in TEXTS["id"].items():
        blanks = [
            {name for _, name, _, _ in string.Formatter().parse(one) if name}
            for one in (text, TEXTS["en"][key])
        ]
        assert blanks[0] == blanks[1], key
        assert text.strip()
        assert TEXTS["en"][key].strip()


def test_numbers_and_labels_are_written_as_each_language_does(page):
    assert page.words.say("voice.when", "id", start=1.52, end=3.0).startswith("1,5")
    assert page.words.say("voice.when", "en", start=1.52, end=3.0).endswith("3 s")
    told = page.words.both("unsure", label="fear", percent="46%", limit="47%")
    assert "Paling mungkin takut (46%)" in told
    assert "Most likely fear (46%)" in told
    assert page.words.percent(0.4699) == "46%"
    assert page.words.percent(0.47) == "47%"


def test_the_style_sheet_hides_the_other_language(page):
    assert ".suasana .en{display:none}" in page.look.style("id")
    assert ".suasana .id{display:none}" in page.look.style("en")


# ── Voice ────────────────────────────────────────────────────────────────────────────────────────────


def test_speech_is_marked_and_read_part_by_part_and_as_a_whole(page, speech):
    heard = page.voices(speech)
    assert len(heard.spoken) >= 3
    assert heard.duration_s == pytest.approx(soundfile.info(str(speech)).duration, abs=0.1)
    for before, after in zip(heard.spoken, heard.spoken[1:], strict=False):
        assert before.start_s < before.end_s <= after.start_s
    assert heard.spoken[-1].end_s <= heard.duration_s
    assert len(heard.peaks) == page.voice.BARS
    assert max(heard.peaks) == 1
    assert not heard.torn
    html = page.hear(speech)
    assert lines(html) == {}
    for label in (*("happy", "sad", "angry", "fear", "disgust", "neutral"),):
        assert f'lang="id">{TEXTS["id"][label]}<' in html
    assert html.count("<li><button") == len(heard.spoken)
    assert "data:audio/mpeg;base64," in html
    assert page.hear(speech) == html, "a reader must not remember"


def test_the_whole_is_the_mean_by_duration(page):
    parts = tuple(
        page.voice.Spoken(0, seconds, Scores(("happy", "sad"), probs, "m@1"))
        for seconds, probs in ((1.0, (1.0, 0.0)), (3.0, (0.0, 1.0)))
    )
    assert page.voice.average(parts).probs == pytest.approx((0.25, 0.75))
    assert page.voice.average(()) is None


def test_what_is_below_the_limit_is_uncertain(page):
    scores = Scores(("happy", "sad"), (0.6, 0.4), "m@1")
    assert page.look.verdict(scores, 0.6) == "happy"
    assert page.look.verdict(scores, 0.61) == "uncertain"
    hero = page.look.hero(scores, 0.61, title="", under="")
    assert "tidak pasti" in hero
    assert "nothing is claimed" in hero


def test_marks_of_many_parts_do_not_stand_on_each_other(page):
    scores = Scores(("happy", "sad"), (0.6, 0.4), "m@1")
    parts = tuple(page.voice.Spoken(2.4 * n, 2.4 * n + 2, scores) for n in range(50))
    heard = page.voice.Heard(120.0, (1.0,) * page.voice.BARS, parts, scores, False, False, b"x")
    placed: dict[int, list[float]] = {}
    for _, middle, row in page.voice_view._marks(heard):
        placed.setdefault(row, []).append(middle)
    assert len(placed) == page.voice_view.MARK_ROWS
    for middles in placed.values():
        assert np.diff(middles).min() >= page.voice_view.MARK_SHARE - 1e-9
        assert max(middles) < 1
    assert page.voice_view.show(heard, page.voices.model).count("<li><button") == 50


def test_a_torn_recording_is_read_as_far_as_it_goes_and_says_so(page, speech, tmp_path):
    torn = tmp_path / "torn.wav"
    torn.write_bytes(speech.read_bytes()[: speech.stat().st_size // 2])
    html = page.hear(torn)
    assert lines(html) == {}
    assert "Berkas ini terputus" in html
    assert "<li><button" in html
    samples, rate_hz = soundfile.read(speech)
    soundfile.write(tmp_path / "whole.flac", samples, rate_hz)
    data = (tmp_path / "whole.flac").read_bytes()
    (tmp_path / "torn.flac").write_bytes(data[: len(data) * 2 // 3])
    assert "This file breaks off" in page.hear(tmp_path / "torn.flac")


def bad_sounds(folder: Path) -> dict[str, tuple[Path | None, str]]:
    """Name of the case -> the file, and the key of what has to be said."""
    silent = write_sound(folder / "silent.wav", 2, np.zeros)
    rushing = write_sound(folder / "noise.wav", 2, noise)
    with wave.open(str(folder / "hours.wav"), "wb") as file:  # two hours of little
        file.setparams((1, 1, 1000, 0, "NONE", ""))
        file.writeframes(bytes([128]) * 7_200_000)
    flac = write_sound(folder / "whole.flac", 2, noise).read_bytes()
    content = {
        "empty": ("a.wav", b"", "trouble.empty"),
        "text": ("a.mp3", b"Selamat pagi, anak-anak.", "trouble.voice.other"),
        "raw": ("a.raw", bytes(1000), "trouble.voice.other"),
        "video": ("a.mp4", b"\x00\x00\x00\x20ftypisom" + bytes(500), "trouble.voice.video"),
        "recorder": ("a.m4a", b"\x00\x00\x00\x20ftypM4A " + bytes(500), "trouble.voice.video"),
        "webm": ("a.webm", b"\x1a\x45\xdf\xa3" + bytes(500), "trouble.voice.video"),
        "photo": ("a.jpg", weights.find("portrait-serious").read_bytes(), "trouble.voice.picture"),
        "torn": ("a.flac", flac[:20], "trouble.voice.torn"),
        "header": ("a.wav", b"RIFF\x24\x00\x00\x00WAVEfmt ", "trouble.voice.torn"),
    }
    for case, (name, data, _) in content.items():
        (folder / f"{case}-{name}").write_bytes(data)
    return {
        "silent": (silent, "trouble.voice.silent"),
        "noise": (rushing, "trouble.voice.no_speech"),
        "two hours": (folder / "hours.wav", "trouble.voice.too_long"),
        "deleted": (folder / "gone.wav", "trouble.gone"),
        **{case: (folder / f"{case}-{name}", key) for case, (name, _, key) in content.items()},
    }


def test_bad_sounds_get_their_line_in_both_languages(page, tmp_path):
    wanted, said = {}, {}
    for case, (path, key) in bad_sounds(tmp_path).items():
        html = page.hear(path)
        said[case] = {name: _key(text, name) for name, text in lines(html).items()}
        wanted[case] = {"id": key, "en": key}
        assert str(tmp_path) not in html
    assert said == wanted
    assert "Hasilnya muncul di sini" in page.hear(None)
    assert "120 menit" in page.hear(tmp_path / "hours.wav")


# ── Face ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", PORTRAITS)
def test_a_portrait_has_one_face_with_a_box_and_a_reading(page, name):
    seen = page.faces(weights.FOLDER / name)
    assert len(seen.faces) == 1
    label, _ = seen.faces[0].scores.best
    assert PORTRAITS[name] in {None, label}
    html = page.see(weights.FOLDER / name)
    assert lines(html) == {}
    assert html.count('class="box m-') == 1
    assert html.count('class="card face m-') == 1
    assert "1 wajah ditemukan" in html
    assert "1 face found" in html


def test_several_faces_are_numbered_from_the_left_and_tiny_ones_are_not_read(page, tmp_path):
    face = cv2.imread(str(weights.find("portrait-smiling")))[40:240, 130:330]
    sheet = np.full((400, 900, 3), 190, np.uint8)
    sheet[100:300, 30:230], sheet[100:300, 600:800] = face, face
    cv2.imwrite(str(tmp_path / "two.png"), sheet)
    seen = page.faces(tmp_path / "two.png")
    assert [face.box.x > 0.5 for face in seen.faces] == [False, True]
    small = page.face.ReadFace(seen.faces[0].box, seen.faces[0].crop[:8, :8], None)
    view = importlib.import_module("space.face_view")
    html = view.show(page.face.Seen(seen.image, (small, seen.faces[1])), page.faces.model)
    assert "too small to read" in html
    assert html.count('class="bars"') == 1


def test_a_photo_is_turned_as_its_camera_was_held(page, tmp_path):
    with Image.open(weights.find("portrait-smiling")) as upright:
        turned = upright.convert("RGB").rotate(90, expand=True)
    exif = Image.Exif()
    exif[274] = 6
    turned.save(tmp_path / "turned.jpg", exif=exif, quality=95)
    seen = page.faces(tmp_path / "turned.jpg")
    assert len(seen.faces) == 1
    assert seen.faces[0].scores.best[0] == "happy"


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "I;16"])
def test_every_kind_of_picture_is_read(page, tmp_path, mode):
    with Image.open(weights.find("portrait-smiling")) as picture:
        grey = np.asarray(picture.convert("L"))
        wide = Image.fromarray(grey.astype(np.uint16) * 257)
        kinds = {"I;16": wide, "P": picture.quantize(256)}
        kinds.get(mode, picture.convert(mode if mode in {"L", "LA"} else "RGBA")).save(tmp_path / "photo.png")
    assert len(page.faces(tmp_path / "photo.png").faces) == 1


def bad_photos(folder: Path) -> dict[str, tuple[Path | None, str]]:
    """Name of the case -> the file, and the key of what has to be said."""
    png, jpeg = (weights.find(f"portrait-{name}").read_bytes() for name in ("smiling", "serious"))
    Image.new("1", (9000, 8000)).save(folder / "huge.png")
    cv2.imwrite(str(folder / "wall.jpg"), np.full((300, 400, 3), 170, np.uint8))
    sound = write_sound(folder / "sound.wav", 1, noise)
    content = {
        "empty": ("a.jpg", b"", "trouble.empty"),
        "text": ("a.jpg", b"Selamat pagi, anak-anak.", "trouble.face.other"),
        "video": ("a.mp4", b"\x00\x00\x00\x20ftypisom" + bytes(500), "trouble.face.video"),
        "phone": ("a.heic", b"\x00\x00\x00\x20ftypheic" + bytes(500), "trouble.face.heic"),
        "torn png": ("a.png", png[: len(png) // 2], "trouble.face.torn"),
        "torn jpeg": ("a.jpg", jpeg[: len(jpeg) // 2], "trouble.face.torn"),
        "head": ("a.jpg", jpeg[:30], "trouble.face.torn"),
    }
    for case, (name, data, _) in content.items():
        (folder / f"{case}-{name}").write_bytes(data)
    return {
        "huge": (folder / "huge.png", "trouble.face.too_large"),
        "wall": (folder / "wall.jpg", "trouble.face.none"),
        "sound": (sound, "trouble.face.sound"),
        "deleted": (folder / "gone.jpg", "trouble.gone"),
        **{case: (folder / f"{case}-{name}", key) for case, (name, _, key) in content.items()},
    }


def test_bad_photos_get_their_line_in_both_languages(page, tmp_path):
    wanted, said = {}, {}
    for case, (path, key) in bad_photos(tmp_path).items():
        html = page.see(path)
        said[case] = {name: _key(text, name) for name, text in lines(html).items()}
        wanted[case] = {"id": key, "en": key}
        assert str(tmp_path) not in html
    assert said == wanted
    assert "The result appears here" in page.see(None)


def _key(text: str, language: str) -> str:
    """The sentence that *text* is, whatever stands in its blanks."""
    for key, pattern in TEXTS[language].items():
        shape = re.sub(r"\\\{\w+\\\}", "[^ ]+", re.escape(pattern))
        if key.startswith("trouble.") and re.fullmatch(shape, text):
            return key.replace("heic", "picture") if key == "trouble.voice.heic" else key
    return text
