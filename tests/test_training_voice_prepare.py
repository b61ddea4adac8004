"""training.voice.prepare.commands: from long recordings to a folder that can be trained on."""

from __future__ import annotations

import csv
import math
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tqdm")

import soundfile

from edge import sources
from edge.models import weights
from edge.types import RATE_HZ, EdgeError, FloatArray, ModelError, SettingsError, SourceError
from edge.vad import WINDOW
from edge.words import VOICE_LABELS
from tests.conftest import SHARED
from training.voice import corpora, recipes
from training.voice.prepare import (
    agreement,
    ballots,
    collection,
    cutting,
    recordings,
    sheets,
    splits,
    tables,
)
from training.voice.prepare import commands as prepare_commands
from training.voice.prepare.agreement import MISSING
from training.voice.prepare.tables import Row


class LoudGate:
    """Takes what is loud for speech, and insists on what the real gate insists on."""

    def __init__(self) -> None:
        self.heard = 0

    def __call__(self, window: FloatArray) -> float:
        assert window.shape == (WINDOW,)
        assert window.dtype == np.float32
        assert np.isfinite(window).all()
        assert np.abs(window).max() <= 1
        self.heard += 1
        return float(np.sqrt(np.square(window).mean()) > 0.05)

    def reset(self) -> None:
        pass


class KilledError(BaseException):
    """What no code may catch for good."""


@pytest.fixture(autouse=True)
def gate(monkeypatch: pytest.MonkeyPatch) -> LoudGate:
    one = LoudGate()
    monkeypatch.setattr(prepare_commands, "open_gate", lambda: one)
    return one


def prepare(*arguments: object) -> int:
    return prepare_commands.main([str(one) for one in arguments])


def tone(seconds: float, rate: int = RATE_HZ, hz: float = 300.0) -> FloatArray:
    return np.asarray(0.3 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate), np.float32)


def record(
    path: Path, *spoken: tuple[float, float], rate: int = RATE_HZ, channels: int = 1, hz: float = 300
) -> Path:
    """A recording that is loud from each start to each end, and goes on for a second."""
    length = round((max((end for _, end in spoken), default=1.0) + 1) * rate)
    sound = np.zeros(length, np.float32)
    for start, end in spoken:
        part = tone(end - start, rate, hz)
        sound[round(start * rate) :][: len(part)] = part
    with soundfile.SoundFile(path, "w", rate, channels) as file:
        for first in range(0, length, rate):  # libsndfile crashes on long Vorbis in one piece
            file.write(np.repeat(sound[first : first + rate, None], channels, 1))
    return path


def manifest(folder: Path) -> list[Row]:
    return collection.read(folder)


def clips_on_disk(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in (folder / "clips").rglob("*") if path.is_file()}


def complaint(capsys: pytest.CaptureFixture[str]) -> str:
    """What was said on standard error, which must be one line."""
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


# Recordings


@pytest.mark.parametrize(
    ("name", "rate", "channels"), [("a.wav", 16000, 1), ("a.flac", 44100, 2), ("a.ogg", 48000, 1)]
)
def test_a_recording_sounds_as_the_kit_would_hear_it(
    tmp_path: Path, name: str, rate: int, channels: int
) -> None:
    path = record(tmp_path / name, (0.5, 3.0), rate=rate, channels=channels)
    with sources.open_microphone(sources.replay_uri(str(path), speed=0)) as microphone:
        kit = list(microphone)
    mine = list(recordings.listen(recordings.inspect(path)))
    assert [block.at for block in mine] == [block.at for block in kit]
    np.testing.assert_allclose(
        np.concatenate([block.samples for block in mine]),
        np.concatenate([block.samples for block in kit]),
        atol=2e-6,
    )


def test_a_long_recording_does_not_fill_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.flac"
    with soundfile.SoundFile(path, "w", 8000, 1) as file:
        for _ in range(10):
            file.write(np.zeros(60 * 8000, np.int16))
    recording = recordings.inspect(path)
    assert recording.duration_s == 600
    tracemalloc.start()
    blocks = sum(1 for _ in recordings.listen(recording))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert blocks == math.ceil(600 * RATE_HZ / WINDOW)
    assert peak < 4e6  # the whole is 38 MB


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.aiff", "a.mp3"])
def test_a_torn_recording_is_told_from_a_whole_one(tmp_path: Path, name: str) -> None:
    whole = tmp_path / name
    soundfile.write(whole, np.random.default_rng(0).normal(0, 0.1, 5 * RATE_HZ), RATE_HZ)
    recording = recordings.inspect(whole)
    assert sum(1 for _ in recordings.listen(recording)) >= 5 * RATE_HZ // WINDOW
    torn = tmp_path / f"torn-{name}"
    torn.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    with pytest.raises(SourceError, match="torn"):
        list(recordings.listen(recordings.inspect(torn)))
    there = sum(1 for _ in recordings.listen(recordings.inspect(torn), torn=True))
    assert 1.5 < there * WINDOW / RATE_HZ < 4


# Cutting


def test_utterances_are_cut_where_they_are_and_named_in_the_manifest(tmp_path: Path) -> None:
    path = record(tmp_path / "marah lesson.wav", (1, 3), (5, 6.5), (8, 8.3), rate=44100, channels=2)
    assert prepare("cut", path, "--out", tmp_path / "out", "--speaker", "ani", "--licence", "CC0") == 0
    rows = manifest(tmp_path / "out")
    assert [round(float(row["start_s"])) for row in rows] == [1, 5]  # the kit reads nothing so short
    assert {row["path"] for row in rows} == clips_on_disk(tmp_path / "out")
    for row, (start, end) in zip(rows, [(1, 3), (5, 6.5)], strict=True):
        clip = soundfile.info(tmp_path / "out" / row["path"])
        assert (clip.samplerate, clip.channels, clip.format) == (RATE_HZ, 1, "FLAC")
        assert clip.duration == pytest.approx(float(row["end_s"]) - float(row["start_s"]), abs=2e-3)
        assert float(row["start_s"]) == pytest.approx(start - 0.1, abs=0.05)
        assert float(row["end_s"]) == pytest.approx(end + 0.1, abs=0.05)
        assert (row["speaker"], row["language"], row["licence"], row["src_rate"]) == (
            "ani",
            "id",
            "CC0",
            "44100",
        )
        assert row["corpus"] == "out"
        assert "marah" not in row["path"]
        samples, _ = soundfile.read(tmp_path / "out" / row["path"], dtype="float32")
        assert np.abs(samples[4000:-4000]).max() == pytest.approx(0.3, abs=0.01)


def test_the_manifest_has_the_columns_of_the_corpora(tmp_path: Path) -> None:
    path = SHARED / "voice" / "manifest.csv"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    with path.open(encoding="utf-8") as file:
        assert tuple(next(csv.reader(file))) == collection.CORPUS_COLUMNS


def test_cutting_again_cuts_nothing_twice_whatever_the_file_is_called(tmp_path: Path, gate: LoudGate) -> None:
    out = tmp_path / "out"
    first, second = record(tmp_path / "a.wav", (1, 3)), record(tmp_path / "b.wav", (2, 4), hz=500)
    assert prepare("cut", first, "--out", out, "--speaker", "ani") == 0
    rows, heard = manifest(out), gate.heard
    copy = tmp_path / "renamed.wav"
    copy.write_bytes(first.read_bytes())
    assert prepare("cut", first, copy, "--out", out) == 0
    assert manifest(out) == rows
    assert gate.heard == heard
    assert prepare("cut", second, first, second, "--out", out) == 0
    assert manifest(out)[:1] == rows
    assert len(manifest(out)) == len(clips_on_disk(out)) == 2


def test_labels_and_splits_and_own_columns_outlive_another_cut(tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare("cut", record(tmp_path / "a.wav", (1, 3)), "--out", out, "--speaker", "ani")
    rows = manifest(out)
    collection.write(out, [row | {"emotion": "sad", "split": "test", "room": "3b"} for row in rows])
    again = record(tmp_path / "b.wav", (1, 3), hz=500)
    assert prepare("cut", again, tmp_path / "a.wav", "--out", out, "--speaker", "budi") == 0
    old, new = manifest(out)
    assert (old["emotion"], old["split"], old["room"]) == ("sad", "test", "3b")
    assert (old["speaker"], new["speaker"]) == ("budi", "budi")  # the name was put right
    assert (new["emotion"], new["split"], new["room"]) == ("", "", "")


@pytest.mark.parametrize("when", ["clip", "manifest"])
def test_a_killed_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    paths = [record(tmp_path / f"{number}.wav", (1, 3), (4, 6), hz=200 + 50 * number) for number in range(3)]
    whole = tmp_path / "whole" / "x"
    assert prepare("cut", *paths, "--out", whole) == 0
    out = tmp_path / "torn" / "x"
    write, calls = tables.write_bytes, 0

    def fragile(path: Path, data: bytes) -> None:
        nonlocal calls
        calls += path.suffix == (".flac" if when == "clip" else ".csv")
        if calls == (4 if when == "clip" else 2):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_name(f"{path.name}.new").write_bytes(data[: len(data) // 2])
            raise KilledError
        write(path, data)

    monkeypatch.setattr(tables, "write_bytes", fragile)
    with monkeypatch.context() as patch:  # a kill runs no clean-up
        patch.setattr(cutting.shutil, "rmtree", lambda *_, **__: None)
        with pytest.raises(KilledError):
            prepare("cut", *paths, "--out", out)
    assert len(manifest(out)) == 2
    monkeypatch.setattr(tables, "write_bytes", write)
    assert prepare("cut", *paths, "--out", out) == 0
    assert manifest(out) == manifest(whole)
    assert clips_on_disk(out) == clips_on_disk(whole)


def test_bad_recordings_are_told_each_in_a_line_and_do_not_keep_the_good(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = [record(tmp_path / "good1.wav", (1, 3)), record(tmp_path / "good2.wav", (1, 3), hz=500)]
    torn = tmp_path / "torn.wav"
    torn.write_bytes(good[0].read_bytes()[:100_000])
    silent, quiet = record(tmp_path / "silent.wav"), tmp_path / "quiet.wav"
    soundfile.write(quiet, 0.01 * tone(3), RATE_HZ)
    (tmp_path / "text.wav").write_text("no sound", "utf-8")
    (tmp_path / "empty.wav").touch()
    bad = {
        torn: "torn",
        silent: "silent",
        quiet: "no speech",
        tmp_path / "text.wav": "no sound",
        tmp_path / "empty.wav": "empty",
        tmp_path / "missing.wav": "No such file",
        tmp_path: "folder",
    }
    out = tmp_path / "out"
    assert prepare("cut", good[0], *bad, good[1], "--out", out) == 2
    lines = capsys.readouterr().err.splitlines()
    for line, (path, reason) in zip(lines, bad.items(), strict=False):
        assert str(path) in line
        assert reason in line
    assert len(lines) == len(bad) + 1
    assert "7 of 9" in lines[-1]
    assert len(manifest(out)) == len(clips_on_disk(out)) == 2
    assert prepare("cut", torn, "--out", out, "--keep-torn") == 0
    assert len(manifest(out)) == 3


def test_a_folder_keeps_its_rules(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, path = tmp_path / "out", record(tmp_path / "a.wav", (1, 8), (9, 9.7))
    assert prepare("cut", path, "--out", out, "--min-s", 0.5, "--max-s", 3) == 0
    lengths = [float(row["duration_s"]) for row in manifest(out)]
    assert len(lengths) == 4
    assert max(lengths) <= 3 + WINDOW / RATE_HZ / 2  # the gate counts whole windows
    other = record(tmp_path / "b.wav", (1, 8), hz=500)
    capsys.readouterr()
    with pytest.raises(SettingsError, match="max_s"):
        prepare("cut", other, "--out", out, "--max-s", 4)
    assert prepare("cut", other, "--out", out) == 0
    assert max(float(row["duration_s"]) for row in manifest(out)) <= 3 + WINDOW / RATE_HZ / 2
    with pytest.raises(SettingsError, match="min < max"):
        prepare("cut", path, "--out", tmp_path / "new", "--min-s", 5)


def test_speakers_come_from_a_map_as_spreadsheets_save_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [
        record(tmp_path / f"{name}.wav", (1, 3), hz=hz) for name, hz in (("a", 300), ("b", 400), ("c", 500))
    ]
    table = tmp_path / "map.csv"
    table.write_bytes("\ufeffRecording;Speaker\r\na.wav; ani \r\nb;budi\r\nb;citra\r\n".encode())
    assert prepare("cut", *paths, "--out", tmp_path / "out", "--speakers", table) == 2
    assert [row["speaker"] for row in manifest(tmp_path / "out")] == ["ani", "budi+citra"]
    assert "c.wav" in capsys.readouterr().err.splitlines()[0]


def test_two_commands_do_not_change_a_folder_at_once(tmp_path: Path) -> None:
    with collection.alone(tmp_path), pytest.raises(SettingsError, match="another command"):
        prepare("cut", record(tmp_path / "a.wav", (1, 3)), "--out", tmp_path)
    assert prepare("cut", tmp_path / "a.wav", "--out", tmp_path) == 0


def test_the_real_gate_cuts_real_speech(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = SHARED / "voice" / "ravdess" / "Actor_01"
    if not folder.exists():
        pytest.skip(f"{folder} is not there")
    try:
        weights.find("silero-vad")
    except ModelError as error:
        pytest.skip(str(error))
    monkeypatch.undo()
    random, parts, spoken, at = np.random.default_rng(0), [], [], 0.0
    for path in sorted(folder.glob("03-01-05-02-*.ogg")):  # strong anger: loud enough for any gate
        samples = corpora.read_sound(path)
        parts += [np.zeros(RATE_HZ), samples / np.abs(samples).max() / 2]
        spoken.append((at + 1, at + 1 + len(samples) / RATE_HZ))
        at = spoken[-1][1]
    sound = np.concatenate([*parts, np.zeros(RATE_HZ)])
    soundfile.write(tmp_path / "a.wav", sound + random.normal(0, 1e-3, len(sound)), RATE_HZ)
    assert prepare("cut", tmp_path / "a.wav", "--out", tmp_path / "out") == 0
    middles = [(float(row["start_s"]) + float(row["end_s"])) / 2 for row in manifest(tmp_path / "out")]
    assert len(spoken) == 4
    for start, end in spoken:
        assert any(start < middle < end for middle in middles)
    assert all(any(start < middle < end for start, end in spoken) for middle in middles)


# Sheets and votes


def rows_of(*clips: tuple[str, str, str]) -> list[Row]:
    """Rows for clip name, recording and speaker."""
    return [
        {
            **dict.fromkeys(collection.COLUMNS, ""),
            "path": f"clips/{recording}/{clip}.flac",
            "corpus": "mine",
        }
        | {"recording": recording, "speaker": speaker, "src_path": f"{recording}.wav"}
        for clip, recording, speaker in clips
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten clips by two people, prepared."""
    made = tmp_path / "mine"
    rows = rows_of(*((f"c{number}", f"r{number % 3}", f"s{number % 3}") for number in range(10)))
    collection.write(made, rows)
    for row in rows:
        (made / row["path"]).parent.mkdir(parents=True, exist_ok=True)
        (made / row["path"]).write_bytes(row["path"].encode())
    return made


def test_a_sheet_opens_in_spreadsheets_and_gives_nothing_away(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "sheets"
    assert prepare("sheet", folder, "--annotators", "ani, budi", "--out", out, "--copy") == 0
    orders = []
    for name in ("ani", "budi"):
        data = (out / f"{name}.csv").read_bytes()
        assert data.startswith(b"\xef\xbb\xbf")
        lines = list(csv.reader(data.decode("utf-8-sig").splitlines(), delimiter=";"))
        assert "tidak pasti = uncertain" in lines[1][0]
        assert lines[2] == ["clip", "play", "label", "note"]
        assert sorted(line[0] for line in lines[3:]) == [f"c{number}" for number in range(10)]
        assert not any(line[2] for line in lines[3:])
        assert all((out / line[1]).read_bytes().decode().endswith(f"/{line[0]}.flac") for line in lines[3:])
        orders.append([line[0] for line in lines[3:]])
    assert orders[0] != orders[1]
    assert orders[0] != sorted(orders[0])
    assert prepare("sheet", folder, "--annotators", "ani", "--out", tmp_path / "again") == 0
    again = tables.read(tmp_path / "again" / "ani.csv", ("clip",))[1]
    assert [row["clip"] for _, row in again] == orders[0]
    assert (tmp_path / "again" / again[0][1]["play"]).is_file()
    with pytest.raises(SettingsError, match="exists"):
        prepare("sheet", folder, "--annotators", "citra,ani", "--out", out)
    assert not (out / "citra.csv").exists()


@pytest.mark.parametrize("name", ["../ani", "", "a/b", "ani,ANI"])
def test_an_annotator_needs_a_name_that_makes_a_file(folder: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match="annotator"):
        prepare("sheet", folder, "--annotators", name, "--out", tmp_path / "sheets")


def test_a_clip_that_is_called_by_its_label_is_refused(tmp_path: Path) -> None:
    collection.write(tmp_path, rows_of(("OAF_back_angry", "r", "s")))
    with pytest.raises(SettingsError, match="angry"):
        prepare("sheet", tmp_path, "--annotators", "ani", "--out", tmp_path / "sheets")


def fill(path: Path, labels: dict[str, str], *, separator: str = ";", encoding: str = "utf-8-sig") -> Path:
    """A sheet as an annotator sends it back."""
    lines = [
        f"# annotator: {path.stem}{separator}{separator}",
        separator.join(["Clip ", "play", " LABEL", "note"]),
    ]
    lines += [separator.join([f" {clip} ", "x", label, ""]) for clip, label in labels.items()]
    path.write_bytes("\r\n".join(lines).encode(encoding))
    return path


def test_sheets_come_back_from_any_spreadsheet_and_the_majority_counts(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheets = [
        fill(tmp_path / "ani.csv", {"c0": "MARAH", "c1": " sedih ", "c2": "senang", "c3": "jijik", "c4": ""}),
        fill(
            tmp_path / "budi.csv",
            {"c0": "angry", "c1": "Tidak  Pasti", "c2": "fear", "c3": "netral"},
            separator=",",
            encoding="utf-8",
        ),
        fill(
            tmp_path / "citra.csv",
            {"C0": "takut", "c1": "uncertain", "c2": "sad"},
            separator="\t",
            encoding="utf-16",
        ),
    ]
    assert prepare("labels", folder, *sheets) == 0
    labels = {collection.clip_name(row): (row["emotion"], row["emotion5"]) for row in manifest(folder)}
    assert labels["c0"] == ("angry", "angry")
    assert labels["c1"] == ("uncertain", "other")
    assert labels["c2"] == labels["c3"] == labels["c4"] == ("", "")
    said = capsys.readouterr().out
    assert "c2  ani happy, budi fear, citra sad" in said
    assert "c3  ani disgust, budi neutral" in said
    votes = ballots.read(folder)
    assert len(votes) == 11
    assert votes["c1", "budi"] == "uncertain"
    # Again, with one sheet put right: nothing is doubled, the newer vote counts.
    before = manifest(folder)
    assert prepare("labels", folder, *sheets) == 0
    assert (ballots.read(folder), manifest(folder)) == (votes, before)
    assert prepare("labels", folder, fill(tmp_path / "citra.csv", {"c2": "senang"})) == 0
    assert "0 new votes, 1 changed" in capsys.readouterr().out
    assert len(ballots.read(folder)) == 11
    assert {collection.clip_name(row): row["emotion"] for row in manifest(folder)}["c2"] == "happy"
    # Whoever has voted is not asked again, and only what is undecided goes to a fourth.
    assert prepare("sheet", folder, "--annotators", "ani,dewi", "--out", tmp_path / "more") == 0
    assert len(tables.read(tmp_path / "more" / "ani.csv", ("clip",))[1]) == 6
    assert len(tables.read(tmp_path / "more" / "dewi.csv", ("clip",))[1]) == 10
    assert prepare("sheet", folder, "--annotators", "eko", "--out", tmp_path / "more", "--undecided") == 0
    assert [row["clip"] for _, row in tables.read(tmp_path / "more" / "eko.csv", ("clip",))[1]] == ["c3"]


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (["c0;maraah", "c1;sad"], "row 3: 'maraah' is no label"),
        (["c0;sad", "c99;sad"], "row 4: there is no clip 'c99'"),
        (["c0;sad", "c1;sad", "", "c0;sad"], "row 6: clip c0 stands in row 3 already"),
        (["c0;sad", ";sad"], "row 4: there is no clip ''"),
    ],
)
def test_a_wrong_row_is_named_and_nothing_is_taken_over(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], labels: list[str], reason: str
) -> None:
    before = manifest(folder)
    sheet = tmp_path / "ani.csv"
    sheet.write_text("\n".join(["# annotator: ani", "clip;label", *labels]), "utf-8")
    assert prepare("labels", folder, sheet) == 2
    line, summary = capsys.readouterr().err.splitlines()
    assert f"{sheet}, {reason}" in line
    assert "1 rows are not right" in summary
    assert manifest(folder) == before
    assert not (folder / "votes.csv").exists()


def test_one_annotator_has_one_vote_over_several_sheets(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = fill(tmp_path / "ani.csv", {"c0": "sad"}), tmp_path / "ani (1).csv"
    second.write_bytes(first.read_bytes())
    assert prepare("labels", folder, first, second) == 2
    assert f"ani labelled c0 in {first}, row 3 already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"PK\x03\x04rest", "save it as CSV"),
        (b"clip;play\nc0;x\n", "label"),
        (b"clip;label\nc0;\n", "no labels"),
        (b"", "label"),
    ],
)
def test_what_is_no_filled_sheet_is_one_line(folder: Path, tmp_path: Path, data: bytes, reason: str) -> None:
    (tmp_path / "ani.csv").write_bytes(data)
    with pytest.raises(EdgeError, match=reason) as caught:
        prepare("labels", folder, tmp_path / "ani.csv")
    assert "\n" not in str(caught.value)


def test_every_label_has_its_word_in_both_languages() -> None:
    words = ["marah", "jijik", "takut", "senang", "sedih", "netral"]
    assert [sheets.label_of(word) for word in words] == list(VOICE_LABELS)
    assert [sheets.label_of(word.upper()) for word in VOICE_LABELS] == list(VOICE_LABELS)
    assert {sheets.label_of(word) for word in ("tidak pasti", "Tidak_Pasti", "uncertain")} == {"uncertain"}
    assert sheets.label_of("terkejut") is None
    assert sheets.label_of("") is None


@pytest.mark.parametrize(
    ("votes", "label"),
    [
        (["sad"], "sad"),
        (["sad", "sad", "happy"], "sad"),
        (["sad", "happy"], None),
        (["sad", "sad", "happy", "fear"], None),  # most, but not more than half
        (["sad", "fear", "happy"], None),
    ],
)
def test_a_majority_is_more_than_half(votes: list[str], label: str | None) -> None:
    assert ballots.majority(votes) == label


# Agreement

NA = MISSING
KRIPPENDORFF = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NA, NA, NA],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NA, 3],
        [NA, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NA],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NA],
    ]
).T
"""Four observers, twelve units, missing data: part C of Krippendorff (2011), Computing Krippendorff's
Alpha-Reliability, https://repository.upenn.edu/asc_papers/43, which gives 0.743 for names."""


def test_alpha_is_that_of_krippendorffs_own_example() -> None:
    counts = agreement.count(KRIPPENDORFF, 6)
    assert counts.sum() == 41
    assert agreement.alpha(counts) == pytest.approx(0.743, abs=5e-4)
    low, high = agreement.alpha_interval(counts)
    assert low < 0.743 < high
    assert 0.2 < high - low < 0.8


def test_alpha_of_two_observers_is_that_of_krippendorffs_part_b() -> None:
    """The same paper's nominal data of two observers: 0.692."""
    said = "aabbdcccedda", "babbbccceddd"
    first, second = (np.array(["abcde".index(one) for one in row]) for row in said)
    found = agreement.alpha(agreement.count(np.stack([first, second], 1), 5))
    assert found == pytest.approx(0.692, abs=5e-4)


def test_alpha_at_its_ends() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 4, 2000)
    same = agreement.count(np.stack([labels, labels, labels], 1), 4)
    assert agreement.alpha(same) == 1
    assert agreement.alpha_interval(same) == (1, 1)
    chance = agreement.count(random.integers(0, 4, (2000, 3)), 4)
    assert abs(agreement.alpha(chance)) < 0.03
    low, high = agreement.alpha_interval(chance)
    assert low < 0 < high
    alone = agreement.count(np.array([[1, MISSING], [MISSING, 2]]), 4)
    assert math.isnan(agreement.alpha(alone))
    assert all(map(math.isnan, agreement.alpha_interval(alone)))
    assert math.isnan(agreement.alpha(agreement.count(np.ones((5, 2), np.int64), 4)))


def test_kappa_counts_what_both_have_labelled() -> None:
    first = np.repeat([0, 0, 1, 1, MISSING, 0], [20, 5, 10, 15, 3, 2])
    second = np.repeat([0, 1, 0, 1, 1, MISSING], [20, 5, 10, 15, 3, 2])
    kappa, shared = agreement.kappa(first, second)
    assert shared == 50
    assert kappa == pytest.approx(0.4)  # (0.7 - 0.5) / (1 - 0.5)
    assert math.isnan(agreement.kappa(first[-2:], second[-2:])[0])
    assert math.isnan(agreement.kappa(np.ones(5, int), np.ones(5, int))[0])


def test_agreement_by_label_tells_the_labels_apart() -> None:
    votes = np.array([[0, 0], [0, 0], [1, 2], [2, 1], [1, 1]])
    found = agreement.agreement_by_label(agreement.count(votes, 4))
    assert found[:3] == pytest.approx([1, 0.5, 0])
    assert math.isnan(found[3])


def test_agreement_is_told_for_each_annotator_and_pair() -> None:
    votes = {("c0", "ani"): "sad", ("c0", "budi"): "sad", ("c1", "ani"): "happy", ("c1", "budi"): "uncertain"}
    said = ballots.describe(votes | {("c2", "citra"): "fear"})
    assert "3 clips with votes, 2 with two or more" in said
    assert "ani, budi" in said
    assert ["citra", "1", "0"] in [line.split() for line in said.splitlines()]
    assert ["budi", "2", "1"] in [line.split() for line in said.splitlines()]


# Splits


def classroom(seed: int, people: int, *, labelled: bool = True) -> list[Row]:
    """Clips of people who speak in recordings of their own and now and then in somebody else's."""
    random = np.random.default_rng(seed)
    rows = []
    for recording in range(people * 2):
        names = [f"s{recording % people}"] + (
            [f"s{random.integers(people)}"] if random.random() < 0.1 else []
        )
        for number in range(int(random.integers(5, 30))):
            [row] = rows_of((f"c{number}", f"r{recording}", "+".join(names)))
            label = VOICE_LABELS[min(5, int(random.geometric(0.35)) - 1)]
            rows.append(row | {"emotion": label if labelled and random.random() < 0.9 else ""})
    return rows


@pytest.mark.parametrize("seed", range(5))
def test_no_speaker_and_no_recording_crosses_and_shares_are_near(seed: int) -> None:
    rows = classroom(seed, 30)
    splits.assign(rows, test=0.2, validation=0.1, seed=seed)
    assert splits.crossings(rows) == []
    places: dict[tuple[str, str], set[str]] = {}
    for row in rows:  # the same, counted by hand
        for name in row["speaker"].split("+"):
            places.setdefault(("speaker", name), set()).add(row["split"])
        places.setdefault(("recording", row["recording"]), set()).add(row["split"])
    assert all(len(where) == 1 for where in places.values())
    found = {share.split: share for share in splits.shares(rows)}
    for split, wanted in (("train", 0.7), ("validation", 0.1), ("test", 0.2)):
        assert found[split].part == pytest.approx(wanted, abs=0.05)
        for label in VOICE_LABELS[:3]:
            part = found[split].labels[label] / sum(one.labels[label] for one in found.values())
            assert part == pytest.approx(wanted, abs=0.08)


def test_a_crossing_is_found() -> None:
    rows = rows_of(("a", "r0", "s0"), ("b", "r1", "s0+s1"), ("c", "r1", "s1"), ("d", "r2", "s2"))
    for row, split in zip(rows, ["train", "test", "test", ""], strict=True):
        row["split"] = split
    assert splits.crossings(rows) == ["speaker s0 is in test and train"]
    rows[2]["split"] = "validation"
    assert len(splits.crossings(rows)) == 3


def test_groups_hang_together_over_speakers_and_recordings() -> None:
    rows = rows_of(
        ("a", "r0", "s0"), ("b", "r1", "s0+s1"), ("c", "r2", "s1"), ("d", "r3", "s3"), ("e", "r4", "")
    )
    assert splits.groups(rows) == [[0, 1, 2], [3], [4]]


def test_the_same_seed_splits_alike_whatever_the_rows_order() -> None:
    rows, turned = classroom(3, 20), classroom(3, 20)[::-1]
    for some in (rows, turned):
        splits.assign(some, test=0.2, validation=0.1, seed=4)
    assert [row["split"] for row in rows] == [row["split"] for row in turned[::-1]]


def test_every_split_gets_labelled_clips_even_where_few_are() -> None:
    rows = classroom(5, 12, labelled=False)
    for speaker in ("s0", "s4", "s8"):
        next(row for row in rows if row["speaker"] == speaker)["emotion"] = "sad"
    splits.assign(rows, test=0.2, validation=0.1)
    assert {row["split"] for row in rows if row["emotion"]} == {"train", "validation", "test"}


def test_what_was_placed_can_stay(tmp_path: Path) -> None:
    rows = classroom(6, 20)
    splits.assign(rows, test=0.2, validation=0.1, seed=1)
    before = [row["split"] for row in rows]
    test_speaker = next(
        row["speaker"] for row in rows if row["split"] == "test" and "+" not in row["speaker"]
    )
    news = rows_of(*((f"n{number}", f"new{number}", f"n{number}") for number in range(10)))
    news += rows_of(("again", "another", test_speaker))
    splits.assign([*rows, *news], test=0.2, validation=0.1, seed=2, keep=True)
    assert [row["split"] for row in rows] == before
    assert news[-1]["split"] == "test"
    assert splits.crossings([*rows, *news]) == []
    train_speaker = next(row["speaker"] for row in rows if row["split"] == "train")
    tie = rows_of(("tie", "tie", f"{test_speaker}+{train_speaker}"))
    with pytest.raises(SettingsError, match="--keep"):
        splits.assign([*rows, *tie], test=0.2, validation=0.1, keep=True)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--test", "0.8", "--validation", "0.2"], "shares"),
        (["--test", "-0.1"], "shares"),
        ([], "2 groups"),
    ],
)
def test_a_split_that_cannot_be_is_one_line(tmp_path: Path, arguments: list[str], reason: str) -> None:
    collection.write(tmp_path, rows_of(("a", "r0", "s0"), ("b", "r1", "s0"), ("c", "r2", "s1")))
    with pytest.raises(SettingsError, match=reason):
        prepare("split", tmp_path, *arguments)
    assert {row["split"] for row in manifest(tmp_path)} == {""}
    assert prepare("split", tmp_path, "--test", 0.3, "--validation", 0) == 0


def test_nobody_knows_whether_a_nameless_speaker_crosses(tmp_path: Path) -> None:
    collection.write(tmp_path, rows_of(*((f"c{number}", f"r{number}", "") for number in range(5))))
    with pytest.raises(SettingsError, match="have no speaker"):
        prepare("split", tmp_path)
    assert prepare("split", tmp_path, "--recordings-are-speakers") == 0


def test_check_proves_that_nothing_crosses_and_nothing_is_missing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prepare("split", folder) == 0
    assert prepare("check", folder) == 0
    assert "none of 3 speakers and 3 recordings is in two splits" in capsys.readouterr().out
    rows = manifest(folder)
    rows[0]["split"] = next(name for name in corpora.SPLITS if name != rows[0]["split"])
    collection.write(folder, rows)
    (folder / rows[1]["path"]).unlink()
    assert prepare("check", folder) == 2
    said = capsys.readouterr().err
    assert f"recording {rows[0]['recording']} is in" in said
    assert f"{rows[1]['path']}: is missing" in said


# Training reads it


def test_training_follows_the_folders_own_splits(folder: Path) -> None:
    config = recipes.load(recipes.DEFAULT)
    config.data.corpora["mine"] = 1.0
    rows = manifest(folder)
    for row in rows[:9]:
        row["emotion"] = "sad"
    rows[9]["emotion"] = "uncertain"
    collection.write(folder, rows)
    assert prepare("split", folder) == 0
    parts = corpora.split(corpora.read_manifest(folder), config)
    assert sorted(map(len, (parts.train, parts.validation, parts.test))) == [3, 3, 3]
    people = [{clip.speaker for clip in part} for part in (parts.train, parts.validation, parts.test)]
    assert [len(one) for one in people] == [1, 1, 1]
    del config.data.corpora["mine"]  # a recipe that does not know it only measures on it
    assert len(corpora.split(corpora.read_manifest(folder), config).test) == 9


@pytest.mark.parametrize(("split", "reason"), [("", "no split"), ("tets", "tets")])
def test_training_refuses_a_folder_that_is_split_in_part(folder: Path, split: str, reason: str) -> None:
    assert prepare("split", folder) == 0
    rows = manifest(folder)
    rows[0]["split"] = split
    collection.write(folder, rows)
    with pytest.raises(SettingsError, match=reason):
        corpora.read_manifest(folder)


# Tables


def test_a_full_disk_leaves_the_table_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collection.write(tmp_path, rows_of(("a", "r", "s")))
    before = (tmp_path / "manifest.csv").read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tables.os, "fsync", full)
    with pytest.raises(SettingsError, match="No space left"):
        collection.write(tmp_path, [])
    assert (tmp_path / "manifest.csv").read_bytes() == before


@pytest.mark.parametrize("step", ["sheet", "labels", "split", "check"])
def test_a_folder_without_clips_is_one_line(tmp_path: Path, step: str) -> None:
    extra: list[Any] = {"sheet": ["--annotators", "a", "--out", tmp_path], "labels": ["a.csv"]}.get(step, [])
    with pytest.raises(SettingsError, match="holds no clips"):
        prepare(step, tmp_path, *extra)


def test_a_torn_manifest_is_named_with_its_row(folder: Path) -> None:
    data = (folder / "manifest.csv").read_text("utf-8")
    (folder / "manifest.csv").write_text(data[:-30], "utf-8")
    with pytest.raises(SettingsError, match="row 11"):
        prepare("check", folder)
