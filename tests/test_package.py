"""What edge.models.package believes of a file that claims to be a model, and what it refuses unopened."""

from __future__ import annotations

import base64
import io
import stat
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from convert.sign import pack, seal
from edge.models import package
from edge.models.package import MODE, Key, parse_key, trusted_keys
from edge.types import ModelError
from tests.packages import KEY, NAMES, PRIVATE, folder_of

TOML = b'[files.tflite]\npath = "w.tflite"\n'
SMALL = {"model.toml": TOML, "golden.toml": b"", "MODEL_CARD.md": b"card", "w.tflite": b"weights"}


def zipped(
    files: dict[str, bytes], *, prepare: Callable[[zipfile.ZipInfo], object] = lambda _: None
) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = MODE << 16
            prepare(info)
            archive.writestr(info, data)
    return buffer.getvalue()


WHOLE = seal(zipped(SMALL), PRIVATE)


def refused(data: bytes, keys: list[Key] | None = None) -> str:
    with pytest.raises(ModelError) as caught:
        package.open(data, [KEY] if keys is None else keys)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_signed_package_is_read() -> None:
    found = package.open(WHOLE, [KEY])
    assert found.files == SMALL
    assert found.key.owner == "sekolah"


def test_the_same_folder_gives_the_same_bytes(tmp_path: Path) -> None:
    one, other = folder_of(tmp_path / "a"), folder_of(tmp_path / "b")
    (other / "model.toml").touch()  # another time, another place
    assert seal(pack(one, NAMES), PRIVATE) == seal(pack(other, list(reversed(NAMES))), PRIVATE)


def test_any_tool_can_look_into_it(tmp_path: Path) -> None:
    path = tmp_path / "model.suasana"
    path.write_bytes(WHOLE)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert {info.filename for info in archive.infolist()} == set(SMALL)
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


# ── Signatures ───────────────────────────────────────────────────────────────────────────────────────


@settings(max_examples=300, deadline=None)
@given(place=st.integers(0, len(WHOLE) - 1), bits=st.integers(1, 255))
def test_no_byte_can_be_altered(place: int, bits: int) -> None:
    altered = bytearray(WHOLE)
    altered[place] ^= bits
    refused(bytes(altered))


@pytest.mark.parametrize("bits", [0b01, 0b10])
def test_the_signatures_last_letter_is_one_of_a_kind(bits: int) -> None:
    """It carries two bits of the signature; the other four have to be nothing."""
    place = WHOLE.index(b"==\n") - 1
    letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    altered = bytearray(WHOLE)
    altered[place] = letters[letters.index(WHOLE[place]) ^ bits]
    assert "not written as" in refused(bytes(altered))


@settings(max_examples=100, deadline=None)
@given(cut=st.integers(0, len(WHOLE) - 1))
def test_no_part_of_it_will_do(cut: int) -> None:
    refused(WHOLE[:cut])
    refused(WHOLE[cut + 1 :])
    refused(WHOLE + WHOLE[: cut + 1])


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=400))
def test_whatever_it_is_it_is_one_line(data: bytes) -> None:
    refused(data)
    refused(WHOLE[: WHOLE.index(b"\n") + 1] + data)


def test_an_unsigned_archive_is_refused() -> None:
    assert "not a signed model package" in refused(zipped(SMALL))


def test_a_stranger_s_signature_is_refused_and_named() -> None:
    stranger = Ed25519PrivateKey.from_private_bytes(bytes(32))
    data = seal(zipped(SMALL), stranger)
    assert "not trusted here" in refused(data)
    head, _, payload = data.partition(b"\n")
    claimed = head.replace(head.split()[2], KEY.id.encode())  # says it were ours
    assert "does not fit" in refused(claimed + b"\n" + payload)


def test_a_signature_over_the_bare_archive_is_another_signature() -> None:
    """Signed for another purpose, if ever the key had one, it must not do here."""
    payload = zipped(SMALL)
    line = b" ".join((package.MAGIC, KEY.id.encode(), base64.b64encode(PRIVATE.sign(payload))))
    assert "does not fit" in refused(line + b"\n" + payload)


def test_without_a_trusted_key_nothing_is_installed() -> None:
    assert "updates.trusted_keys" in refused(WHOLE, [])


def test_a_later_format_says_what_to_do() -> None:
    assert "update it first" in refused(WHOLE.replace(b"suasana-model 1", b"suasana-model 2", 1))


def test_what_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package, "MAX_BYTES", len(WHOLE) - 1)
    assert "larger than" in refused(WHOLE)


# ── Archives, signed all the same: a maker's mistake, or a stolen key ────────────────────────────────


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "/etc/passwd",
        "a/b",
        "..",
        ".",
        ".hidden",
        "a\\b",
        "C:x",
        "",
        "a" * 101,
        "wörld",
        "con\n",
        "a b",
    ],
)
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    data = seal(zipped({**SMALL, name: b"x"}), PRIVATE)
    assert "name that is not allowed" in refused(data) or "damaged" in refused(data)


@pytest.mark.parametrize("name", ["../w.tflite", "/etc/shadow", "sub/w.tflite"])
def test_a_manifest_that_points_elsewhere_is_refused(name: str) -> None:
    toml = TOML.replace(b"w.tflite", name.encode())
    assert "other files than a model" in refused(seal(zipped({**SMALL, "model.toml": toml}), PRIVATE))


@pytest.mark.parametrize(
    "mode", [stat.S_IFLNK | 0o777, stat.S_IFDIR | 0o755, stat.S_IFIFO | 0o644, stat.S_IFCHR, 0o104755, 0]
)
def test_links_devices_and_programs_are_refused(mode: int) -> None:
    def prepare(info: zipfile.ZipInfo) -> None:
        if info.filename == "w.tflite":
            info.external_attr = mode << 16

    assert "no plain file" in refused(seal(zipped(SMALL, prepare=prepare), PRIVATE))


def test_a_bomb_is_refused_unopened() -> None:
    def prepare(info: zipfile.ZipInfo) -> None:
        info.compress_type = zipfile.ZIP_DEFLATED

    data = seal(zipped({**SMALL, "w.tflite": bytes(20_000_000)}, prepare=prepare), PRIVATE)
    assert len(data) < 50_000
    assert "only stored files are read" in refused(data)


def test_sizes_that_lie_are_refused() -> None:
    payload = bytearray(zipped(SMALL))
    directory = payload.index(b"PK\x01\x02")
    payload[directory + 20 : directory + 28] = (2**31).to_bytes(4, "little") * 2
    assert "larger than the package" in refused(seal(bytes(payload), PRIVATE))


def test_overlapping_files_are_refused_or_read_within_bounds() -> None:
    """Many entries over one body: the classical way to a bomb without compression."""
    payload = bytearray(zipped(SMALL))
    first = payload.index(b"PK\x01\x02")
    second = payload.index(b"PK\x01\x02", first + 4)
    payload[second + 42 : second + 46] = payload[first + 42 : first + 46]
    assert "damaged" in refused(seal(bytes(payload), PRIVATE))


def test_too_many_files_are_refused() -> None:
    many = {f"file-{number}": b"" for number in range(5000)}
    assert "files; 8 is the most" in refused(seal(zipped(many), PRIVATE))


def test_two_files_of_one_name_are_refused() -> None:
    assert "two files of one name" in refused(seal(zipped({**SMALL, "W.tflite": b"x"}), PRIVATE))


@pytest.mark.parametrize("extra", ["run.py", "w2.tflite", "model.TOML.bak"])
def test_a_file_more_is_refused(extra: str) -> None:
    assert extra in refused(seal(zipped({**SMALL, extra: b"x"}), PRIVATE))


@pytest.mark.parametrize("missing", list(SMALL))
def test_a_file_less_is_refused(missing: str) -> None:
    files = {name: data for name, data in SMALL.items() if name != missing}
    assert missing in refused(seal(zipped(files), PRIVATE))


@pytest.mark.parametrize("toml", [b"", b"\xff", b"files = 3", b"[files]\ntflite = 1", b"a = " + b"[" * 2000])
def test_a_manifest_that_is_none_is_refused(toml: bytes) -> None:
    assert "model.toml" in refused(seal(zipped({**SMALL, "model.toml": toml}), PRIVATE)) or toml == b""


@settings(max_examples=300, deadline=None)
@given(place=st.integers(0, len(zipped(SMALL)) - 1), value=st.integers(0, 255))
def test_a_damaged_archive_is_refused_or_read_even_when_signed(place: int, value: int) -> None:
    payload = bytearray(zipped(SMALL))
    payload[place] = value
    with suppress(ModelError):
        found = package.open(seal(bytes(payload), PRIVATE), [KEY])
        assert found.files.keys() == SMALL.keys()


# ── Keys ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_key_is_written_and_read_alike() -> None:
    assert parse_key(str(KEY)) == KEY
    assert parse_key(f"{KEY}\n") == KEY
    assert len(KEY.id) == 16


@pytest.mark.parametrize(
    "text",
    ["", "ed25519:", "ed25519:AAAA x", "rsa:" + "A" * 43 + "=", "ssh-ed25519 AAAAC3", "ed25519:" + "é" * 44],
)
def test_what_is_no_key_is_told(text: str) -> None:
    with pytest.raises(ModelError, match="is no key"):
        parse_key(text)


def test_keys_come_from_the_list_and_from_the_folder(tmp_path: Path) -> None:
    assert trusted_keys([], tmp_path / "none") == []
    other = Key("dinas", bytes(32))
    (tmp_path / "dinas.pub").write_text(f"{other}\n")
    (tmp_path / "README").write_text("not a key")
    assert trusted_keys([str(KEY)], tmp_path) == [KEY, other]
    (tmp_path / "torn.pub").write_text("ed25519:AA")
    with pytest.raises(ModelError, match=r"torn\.pub"):
        trusted_keys([], tmp_path)
