"""Keys and signed packages from the command line, read by the kit's own reader."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from convert import sign
from convert.__main__ import main
from convert.sign import KeyFileError
from edge.models import package
from edge.models.package import trusted_keys
from tests.conftest import ROOT
from tests.packages import folder_of, line


def test_a_key_pair_signs_what_the_kit_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = tmp_path / "keys"
    assert main(["new-key", "--out", str(keys), "--owner", "sekolah"]) == 0
    told = capsys.readouterr().out
    private = keys / "sekolah.key"
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    (key,) = trusted_keys([], keys)
    assert str(key) in told
    assert key.owner == "sekolah"
    folder = folder_of(tmp_path)
    command = ["sign", "--model", str(folder), "--key", str(private), "--out"]
    assert main([*command, str(tmp_path)]) == 0
    assert "voice-tone@71.2.0, 0.8 MB" in capsys.readouterr().out
    path = tmp_path / "voice-tone-71.2.0.suasana"
    found = package.open(path.read_bytes(), [key])
    assert found.files == {file.name: file.read_bytes() for file in folder.iterdir()}
    assert main([*command, str(tmp_path / "again")]) == 0
    assert (tmp_path / "again").read_bytes() == path.read_bytes(), "the same folder gives the same bytes"


@pytest.mark.parametrize("owner", ["../evil", "", "a b", ".hidden"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, owner: str) -> None:
    with pytest.raises(KeyFileError, match="names no key"):
        sign.new_key(tmp_path / "keys", owner)


def test_a_key_is_never_written_over(tmp_path: Path) -> None:
    sign.new_key(tmp_path, "a")
    before = (tmp_path / "a.key").read_bytes()
    with pytest.raises(KeyFileError, match=r"a\.key: File exists"):
        sign.new_key(tmp_path, "a")
    assert (tmp_path / "a.key").read_bytes() == before


def test_a_key_never_lands_in_a_checkout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new-key", "--out", str(ROOT / "models" / "keys")]) == 2
    assert "lies in the Git checkout" in capsys.readouterr().err
    assert not (ROOT / "models" / "keys").exists()


def test_a_passphrase_is_needed_to_use_the_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.write_text("kucing hitam\n")
    wrong.write_text("kucing putih\n")
    assert main(["new-key", "--out", str(tmp_path), "--passphrase-file", str(right)]) == 0
    key = tmp_path / "models.key"
    assert b"ENCRYPTED" in key.read_bytes()
    command = ["sign", "--model", str(folder_of(tmp_path)), "--key", str(key), "--out", str(tmp_path / "out")]
    capsys.readouterr()
    for more, message in (
        ([], "needs its passphrase"),
        (["--passphrase-file", str(wrong)], "the passphrase is wrong"),
        (["--passphrase-file", str(tmp_path / "none")], "No such file"),
    ):
        assert main([*command, *more]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line
    assert main([*command, "--passphrase-file", str(right)]) == 0


def test_a_passphrase_is_asked_for_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["one", "two", "one", "one", "one"])
    monkeypatch.setattr("getpass.getpass", lambda _: next(answers))
    assert main(["new-key", "--out", str(tmp_path), "--passphrase"]) == 2
    assert not (tmp_path / "models.key").exists()
    assert main(["new-key", "--out", str(tmp_path), "--passphrase"]) == 0
    command = ["sign", "--model", str(folder_of(tmp_path)), "--key", str(tmp_path / "models.key")]
    assert main([*command, "--out", str(tmp_path / "out"), "--passphrase"]) == 0


@pytest.mark.parametrize(
    "content", [b"", b"not a key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_what_is_no_key_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.key"
    path.write_bytes(content)
    with pytest.raises(KeyFileError, match=r"a\.key: ") as caught:
        sign.read_key(path)
    assert "\n" not in str(caught.value)


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    path = tmp_path / "a.key"
    path.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    with pytest.raises(KeyFileError, match="not an Ed25519 key"):
        sign.read_key(path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "MODEL_CARD.md").unlink(), "MODEL_CARD.md"),
        (lambda folder: (folder / "golden.toml").unlink(), "golden.toml"),
        (lambda folder: (folder / "model.int8.onnx").write_bytes(b""), "altered or torn"),
        (lambda folder: edit(folder, "version", '"new"'), "three whole numbers"),
        (lambda folder: edit(folder, "floor_db", "20.0"), "off its golden answers"),
    ],
)
def test_what_no_kit_would_install_is_not_signed(
    tmp_path: Path, spoil, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sign.new_key(tmp_path, "a")
    folder = folder_of(tmp_path)
    spoil(folder)
    command = [
        "sign",
        "--model",
        str(folder),
        "--key",
        str(tmp_path / "a.key"),
        "--out",
        str(tmp_path / "out"),
    ]
    assert main([*command, "--out", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not (tmp_path / "out").exists()


def edit(folder: Path, key: str, value: str) -> None:
    path = folder / "model.toml"
    path.write_text(line(key, value)(path.read_text("utf-8")), "utf-8")


def test_the_keys_are_openssl_s_as_well(tmp_path: Path) -> None:
    sign.new_key(tmp_path, "a")
    try:
        done = subprocess.run(
            ["openssl", "pkey", "-in", tmp_path / "a.key", "-noout", "-text"],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        pytest.skip("needs openssl")
    assert "ED25519" in done.stdout


def test_signing_needs_no_pytorch(tmp_path: Path) -> None:
    command = ["new-key", "--out", str(tmp_path)]
    code = "import sys; sys.modules['torch'] = None; from convert.__main__ import main; "
    code += f"sys.exit(main({command!r}))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
