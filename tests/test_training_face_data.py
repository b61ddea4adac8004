"""FER-2013 in every form people have it: the same faces come out, and damage is one line that says where."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("tqdm", reason="needs `make train-env`")

from edge.types import LABELS, SourceError
from training.__main__ import main
from training.face import exploration, fer2013, folders, kaggle, layout

SPLITS = ("Training", "PublicTest", "PrivateTest")
VOTES_HEADER = "Usage,Image name," + ",".join(fer2013.VOTES)


class Made:
    """42 faces, two per label and split, in the order of fer2013.csv, with votes."""

    def __init__(self) -> None:
        random = np.random.default_rng(0)
        self.labels = np.arange(42) % 7
        self.usages = np.repeat([0, 1, 2], 14)
        self.images = random.integers(0, 256, (42, 48, 48)).astype(np.uint8)
        self.votes = np.zeros((42, 10), int)
        self.votes[np.arange(42), random.integers(0, 10, 42)] = 10

    def csv_lines(self) -> list[str]:
        rows = zip(self.labels, self.images, self.usages, strict=True)
        lines = [f"{label},{' '.join(map(str, image.ravel()))},{SPLITS[use]}" for label, image, use in rows]
        return ["emotion,pixels,Usage", *lines]

    def votes_lines(self) -> list[str]:
        rows = enumerate(zip(self.usages, self.votes, strict=True))
        lines = [f"{SPLITS[use]},fer{row:07d}.png,{','.join(map(str, votes))}" for row, (use, votes) in rows]
        return [VOTES_HEADER, *lines]

    def kaggle_csv(self, folder: Path) -> Path:
        (folder / "fer2013.csv").write_text("\n".join(self.csv_lines()), "utf-8")
        return folder

    def icml_csv(self, folder: Path) -> Path:
        lines = [", ".join([one.split(",")[place] for place in (0, 2, 1)]) for one in self.csv_lines()]
        (folder / "icml_face_data.csv").write_text("\n".join(lines), "utf-8")
        return folder / "icml_face_data.csv"

    def archive(self, folder: Path) -> Path:
        sheet = np.zeros((43, 48, 48), np.uint8)
        sheet[:42] = self.images
        cv2.imwrite(str(folder / fer2013.PIXELS), sheet.transpose(1, 0, 2).reshape(48, -1))
        sure = np.ones(42, bool)
        table = {"label": self.labels, "usage": self.usages, "votes": self.votes, "votes_ok": sure}
        np.savez(folder / fer2013.TABLE, **table)
        return folder

    def numbered_folders(self, folder: Path) -> Path:
        for row, image in enumerate(self.images):
            place = folder / "unpacked" / SPLITS[self.usages[row]] / str(self.labels[row])
            write(place / f"{row}.png", image)
        return folder

    def kaggle_folders(self, folder: Path, *, named: bool = True) -> Path:
        for row, image in enumerate(self.images):
            place = folder / ("test" if self.usages[row] else "train") / LABELS[self.labels[row]]
            write(
                place / (f"{SPLITS[self.usages[row]]}_{97 * row % 89}.png" if named else f"im{row}.png"),
                image,
            )
        return folder


def write(path: Path, image: npt.NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


def pictures(faces: fer2013.Faces) -> set[tuple[int, bytes]]:
    return {
        (label, image.tobytes()) for label, image in zip(faces.labels.tolist(), faces.images, strict=True)
    }


@pytest.mark.parametrize("form", ["kaggle_csv", "icml_csv", "archive", "numbered_folders"])
def test_every_form_gives_the_same_rows_in_their_order(form: str, tmp_path: Path) -> None:
    made = Made()
    path = getattr(made, form)(tmp_path)
    splits = fer2013.load(path)
    for code, name in enumerate(("training", "public", "private")):
        rows = made.usages == code
        assert np.array_equal(splits[name].images, made.images[rows])
        assert splits[name].labels.tolist() == made.labels[rows].tolist()


def test_kaggles_folders_tell_the_test_splits_by_file_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = Made()
    splits = fer2013.load(made.kaggle_folders(tmp_path))
    for code, name in enumerate(("training", "public", "private")):
        rows = np.flatnonzero(made.usages == code)
        assert pictures(splits[name]) == {(made.labels[row], made.images[row].tobytes()) for row in rows}
    assert not capsys.readouterr().err


def test_an_unnamed_test_folder_is_halved_by_the_pixels_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = Made()
    made.images[30] = made.images[15]  # a copy under another label
    folder = made.kaggle_folders(tmp_path, named=False)
    first, said = fer2013.load(folder), capsys.readouterr().err
    assert said.count("\n") == 1
    assert "halved by a hash" in said
    assert len(first["public"]) + len(first["private"]) == 28
    assert min(len(first["public"]), len(first["private"])) >= 7
    assert not fer2013.contained(first["public"], first["private"]).any(), "copies stay together"
    one = next(folder.glob("test/*/im20.png"))
    one.rename(one.with_name("a.png"))
    assert pictures(fer2013.load(folder)["public"]) == pictures(first["public"]), "not by name or order"


def test_a_folder_called_test_beside_a_validation_folder_is_private(tmp_path: Path) -> None:
    made = Made()
    for row, image in enumerate(made.images):
        split = ("train", "validation", "test")[made.usages[row]]
        write(tmp_path / split / LABELS[made.labels[row]] / f"im{row}.png", image)
    splits = fer2013.load(tmp_path)
    assert pictures(splits["private"]) == {
        (made.labels[row], made.images[row].tobytes()) for row in range(28, 42)
    }


@pytest.mark.parametrize("form", ["kaggle_csv", "numbered_folders"])
def test_votes_are_found_beside_the_faces_or_where_one_says(form: str, tmp_path: Path) -> None:
    made = Made()
    path = getattr(made, form)(tmp_path)
    assert not any(faces.votes.any() for faces in fer2013.load(path).values())
    expected = made.votes[:14, :8] / np.maximum(made.votes[:14, :8].sum(1, keepdims=True), 1)
    votes = (tmp_path / "unpacked" if form == "numbered_folders" else tmp_path) / "fer2013new.csv"
    votes.write_text("\n".join(made.votes_lines()), "utf-8")
    assert np.allclose(fer2013.load(path)["training"].votes, expected)
    elsewhere = votes.rename(tmp_path / "votes.csv")
    training = fer2013.load(path, elsewhere)["training"]
    assert np.allclose(training.votes, expected)
    assert training.votes_for_nothing.tolist() == (made.votes[:14, 9] / 10).tolist()


def test_votes_that_are_another_rows_are_dropped_but_a_mere_misnomer_is_not() -> None:
    names = [f"fer{row:07d}.png" for row in range(12)]
    counts = np.arange(120).reshape(12, 10)
    names[3], counts[3] = names[9], counts[9]  # FER+'s row 5274, which carries name and votes of row 6968
    names[11] = names[6]  # its row 33200: the name comes twice, the votes differ
    names[1] = names[2] = ""  # no name where nobody saw a face
    counts[1] = counts[2]
    assert kaggle.copied(names, counts) == [3]


def test_pictures_without_row_numbers_get_no_votes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = Made()
    folder = made.kaggle_folders(tmp_path)
    votes = folder / "fer2013new.csv"
    votes.write_text("\n".join(made.votes_lines()), "utf-8")
    assert not fer2013.load(folder)["training"].votes.any()
    assert "not used" in capsys.readouterr().err
    with pytest.raises(SourceError, match="goes by the rows"):
        fer2013.load(folder, votes)


def test_targets_are_the_own_labels_without_votes(tmp_path: Path) -> None:
    training = fer2013.load(Made().kaggle_csv(tmp_path))["training"]
    assert np.array_equal(fer2013.targets(training, 0.4), np.eye(7)[training.labels])


@pytest.mark.parametrize(
    ("line", "old", "new", "message"),
    [
        (0, "pixels", "pictures", r"fer2013\.csv: has no column pixels"),
        (9, ",Training", "", r"line 10: torn"),
        (9, " ", " 256 ", r"line 10: '256' is no grey value"),
        (9, " ", " -1 ", r"line 10: '-1' is no grey value"),
        (9, " ", " 0 ", r"line 10: 2305 pixels, not 48 x 48"),
        (3, "2,", "7,", r"line 4: '7' is none of the seven labels"),
        (3, "Training", "Trainig", r"line 4: 'Trainig' is not Training"),
        (9, ",", ',"', r"line 10: torn"),
    ],
)
def test_a_damaged_csv_is_told_with_its_line(
    line: int, old: str, new: str, message: str, tmp_path: Path
) -> None:
    lines = Made().csv_lines()
    assert old in lines[line]
    lines[line] = lines[line].replace(old, new, 1)
    (tmp_path / "fer2013.csv").write_text("\n".join(lines), "utf-8")
    told(tmp_path, message)


def test_a_csv_cut_short_is_told_with_its_line(tmp_path: Path) -> None:
    whole = "\n".join(Made().csv_lines())
    (tmp_path / "fer2013.csv").write_text(whole[:-100], "utf-8")
    told(tmp_path, r"fer2013\.csv, line 43: torn")
    (tmp_path / "fer2013.csv").write_text("", "utf-8")
    told(tmp_path, "has no column")
    (tmp_path / "fer2013.csv").write_text("emotion,pixels,Usage\n", "utf-8")
    told(tmp_path, "holds no faces")
    (tmp_path / "fer2013.csv").write_bytes(b"emotion,pixels,Usage\n\xff\xfe")
    told(tmp_path, "not a readable CSV file")
    (tmp_path / "fer2013.csv").write_text("\n".join(Made().csv_lines()[:20]), "utf-8")
    told(tmp_path, "no faces of the split 'private'")


@pytest.mark.parametrize(
    ("line", "old", "new", "message"),
    [
        (0, "contempt", "pride", "not FER\\+'s"),
        (5, ",0,", ",,", "line 6: torn or not votes"),
        (5, "Training", "PublicTest", "line 6: another split"),
        (42, None, None, "votes on 41 faces, but there are 42"),
    ],
)
def test_wrong_votes_are_told(
    line: int, old: str | None, new: str | None, message: str, tmp_path: Path
) -> None:
    made = Made()
    lines = made.votes_lines()
    lines[line : line + 1] = [lines[line].replace(old, new, 1)] if old and new else []
    (made.kaggle_csv(tmp_path) / "fer2013new.csv").write_text("\n".join(lines), "utf-8")
    told(tmp_path, message)


def test_damaged_folders_are_told_with_the_file(tmp_path: Path) -> None:
    told(tmp_path / "absent", "not found")
    told(tmp_path, "holds no fer2013_pixels.png")
    folder = Made().kaggle_folders(tmp_path)
    (folder / "train" / "proud").mkdir()
    told(folder, "proud: called like none of the labels")
    (folder / "train" / "proud").rename(folder / "train" / "6")
    told(folder, "6: holds no pictures")
    (folder / "train" / "6").rmdir()
    (folder / "test" / "sad" / "torn.jpg").write_bytes(b"\xff\xd8\xff torn")
    told(folder, r"torn\.jpg: not a picture")


def told(path: Path, message: str) -> None:
    with pytest.raises(SourceError, match=message) as caught:
        fer2013.load(path)
    assert "\n" not in str(caught.value)


def test_pictures_of_other_sizes_and_colours_are_brought_to_48_grey_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = Made()
    folder = made.kaggle_folders(tmp_path)
    big = next(folder.glob("train/happy/*.png"))
    picture = cv2.imread(str(big), cv2.IMREAD_GRAYSCALE)
    write(big, np.repeat(cv2.resize(picture, (96, 192), interpolation=cv2.INTER_NEAREST)[..., None], 3, 2))
    splits = fer2013.load(folder)
    assert pictures(splits["training"]) == {
        (made.labels[row], made.images[row].tobytes()) for row in range(14)
    }, "enlarged by whole numbers, shrunk back, the same"
    assert "1 of 42 pictures brought to 48 x 48; the largest had 96 x 192" in capsys.readouterr().err


def test_folders_are_known_by_the_names_of_splits(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    assert not folders.holds(tmp_path)
    (tmp_path / "Training").mkdir()
    assert folders.holds(tmp_path)
    assert layout.label_code(" Happiness") == layout.label_code("3") == LABELS.index("happy")
    assert layout.label_code("7") is None


def explored(tmp_path: Path, *, votes: bool) -> exploration.Exploration:
    made = Made()
    made.labels[7:11] = (0, 1, 0, 2)
    made.images[8] = made.images[7]  # angry and disgust
    made.images[9] = made.images[10]  # angry and fear
    made.images[12] = made.images[11]  # copies under
    made.labels[12] = made.labels[11]  # one label
    made.images[0] = made.images[14]  # in PublicTest too
    made.images[1] = made.images[30][:, ::-1]  # PrivateTest's, mirrored
    made.votes[:] = 0
    made.votes[:, fer2013.VOTES.index("happiness")] = 6
    made.votes[:, fer2013.VOTES.index("sadness")] = 4
    made.votes[2] = [0] * 9 + [10]
    folder = made.kaggle_csv(tmp_path)
    if votes:
        (folder / "fer2013new.csv").write_text("\n".join(made.votes_lines()), "utf-8")
    return exploration.explore(fer2013.load(folder))


def test_exploring_counts_faces_reasons_copies_and_votes(tmp_path: Path) -> None:
    found = explored(tmp_path, votes=True)
    assert {name: int(counts.sum()) for name, counts in found.counts.items()} == {
        "training": 14,
        "public": 14,
        "private": 14,
    }
    cleaning = found.cleaning
    assert (cleaning.in_public, cleaning.near_private, cleaning.disputed, cleaning.not_a_face) == (1, 1, 4, 1)
    assert found.kept == 14 - 7
    copies = found.copies
    assert (copies.groups, copies.pictures, copies.spare, copies.largest) == (3, 6, 3, 2)
    assert (copies.disputed_groups, copies.disputed_pictures) == (2, 4)
    assert copies.pairs == {(0, 1): 1, (0, 2): 1}
    assert found.shares.sum(0) == pytest.approx([0, 1, 0, 1, 0, 0, 0, 0])
    happy = LABELS.index("happy")
    assert found.agreed[happy] == found.asked[happy] > 0
    assert found.agreed.sum() == found.agreed[happy], "sadness had fewer votes than happiness everywhere"


def test_the_page_holds_its_pictures_and_git_ignores_the_faces(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib", reason="needs `make train-env`")
    made = Made()
    made.images[3] = made.images[17] // 2 + 60  # like one of PublicTest, but other pixels
    made.kaggle_csv(tmp_path)
    (tmp_path / "fer2013new.csv").write_text("\n".join(made.votes_lines()), "utf-8")
    page = tmp_path / "page"
    assert main(["face", "explore", "--data", str(tmp_path), "--out", str(page)]) == 0
    told = capsys.readouterr().out
    assert "PublicTest (0)" in told
    assert "| same photograph as in PublicTest, other pixels" in told
    shown = re.findall(r'<img src="([^"]+)"', (page / "data.html").read_text("utf-8"))
    assert set(shown) == {"counts.png", "cleaning.png", "agreement.png", "photographs/near.png"}
    for name in shown:
        assert cv2.imread(str(page / name)) is not None
    assert (page / "photographs" / ".gitignore").read_text() == "*\n"


def test_without_votes_nothing_is_said_about_voters(tmp_path: Path) -> None:
    found = explored(tmp_path, votes=False)
    titles = [one.title for one in exploration.sections(found)]
    assert not any("FER+" in title for title in titles)
    assert len(titles) == 3
    assert found.cleaning.not_a_face == 0


def test_a_folder_that_cannot_be_written_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Made().kaggle_csv(tmp_path)
    command = ["face", "explore", "--data", str(tmp_path), "--out", str(tmp_path / "fer2013.csv" / "page")]
    assert main(command) == 2
    assert capsys.readouterr().err.count("\n") == 1
