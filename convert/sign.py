"""Keys, and model folders made into signed packages; edge.models.package reads them."""

from __future__ import annotations

import base64
import io
import os
import re
import zipfile
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge import manifest
from edge.manifest import Manifest
from edge.models import goldens
from edge.models.install import check_alone
from edge.models.package import ALWAYS, MAGIC, MODE, SUFFIX, Key, signed_part
from edge.models.package import open as open_package
from edge.types import EdgeError, ModelError

OWNER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class KeyFileError(EdgeError):
    """A key cannot be made, found or opened."""


def new_key(folder: Path, owner: str, *, passphrase: bytes = b"") -> Key:
    """Write ``OWNER.key`` (private, PKCS#8 as PEM, mode 0600) and ``OWNER.pub`` into *folder*.

    Raises:
        KeyFileError: the name does not do, a key of that name is there, the folder lies in a Git checkout, or
            the disk refuses.
    """
    if not OWNER.fullmatch(owner):
        raise KeyFileError(f"{owner!r} names no key: letters, digits, dots and hyphens")
    checkout = next((path for path in (folder, *folder.resolve().parents) if (path / ".git").exists()), None)
    if checkout is not None:
        raise KeyFileError(
            f"{folder}: lies in the Git checkout {checkout}, where a private key ends up published"
        )
    private = Ed25519PrivateKey.generate()
    cipher: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        cipher = serialization.BestAvailableEncryption(passphrase)
    text = private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, cipher)
    key = _public(private, owner)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Never over a key that exists: what it signed could not be replaced by anybody.
        handle = os.open(folder / f"{owner}.key", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(text)
        (folder / f"{owner}.pub").write_text(f"{key}\n", "utf-8")
    except OSError as error:
        raise KeyFileError(f"{error.filename or folder}: {error.strerror or error}") from error
    return key


def read_key(path: Path, *, passphrase: bytes = b"") -> Ed25519PrivateKey:
    """Open a private key.

    Raises:
        KeyFileError: it is not there, not such a key, or the passphrase is missing or wrong.
    """
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), passphrase or None)
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror or error}") from error
    except TypeError as error:
        wants = "has no passphrase" if passphrase else "needs its passphrase"
        raise KeyFileError(f"{path}: {wants}") from error
    except ValueError as error:
        reason = "the passphrase is wrong" if passphrase else "not a private key in PEM"
        raise KeyFileError(f"{path}: {reason}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"{path}: not an Ed25519 key; `python -m convert new-key` makes one")
    return key


def sign(folder: Path, private: Ed25519PrivateKey, out: Path) -> tuple[Manifest, Path]:
    """Pack the model in *folder* and sign it.

    The same folder and key give the same bytes, on any day and any machine.

    Args:
        folder: a whole model folder, golden answers and card included.
        private: see read_key.
        out: the file to write, or a folder, which gets ``NAME-VERSION.suasana``.

    Raises:
        ModelError: the folder is not one that a kit would install, or the disk refuses.
    """
    model = manifest.load(folder)
    check_alone(model)
    for runtime in model.files:
        verdict = goldens.check(model, runtime)
        if not verdict.good:
            raise ModelError(
                f"{folder}: the {runtime} file answers {verdict.worst:.3f} off its golden answers"
            )
    data = seal(pack(folder, [*ALWAYS, *(file.path.name for file in model.files.values())]), private)
    open_package(data, [_public(private, "")])  # what a kit would refuse is not worth signing
    path = out / f"{model.name}-{model.version}{SUFFIX}" if out.is_dir() else out
    _write(path, data)
    return model, path


def pack(folder: Path, names: list[str]) -> bytes:
    """A ZIP archive of the named files, in the order of their names, without times, owners or compression.

    Raises:
        ModelError: a file is not there.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(names):
            info = zipfile.ZipInfo(name)  # dated 1980, as every member
            info.create_system, info.external_attr = 3, MODE << 16
            try:
                archive.writestr(info, (folder / name).read_bytes())
            except OSError as error:
                raise ModelError(f"{folder / name}: {error.strerror or error}") from error
    return buffer.getvalue()


def seal(payload: bytes, private: Ed25519PrivateKey) -> bytes:
    """The line with the signature, and the payload behind it."""
    signature = base64.b64encode(private.sign(signed_part(payload)))
    return b" ".join((MAGIC, _public(private, "").id.encode(), signature)) + b"\n" + payload


def _public(private: Ed25519PrivateKey, owner: str) -> Key:
    return Key(owner, private.public_key().public_bytes_raw())


def _write(path: Path, data: bytes) -> None:
    draft = path.with_name(f"{path.name}.new")
    try:
        draft.write_bytes(data)
        draft.replace(path)
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror or error}") from error


__all__ = ["KeyFileError", "new_key", "pack", "read_key", "seal", "sign"]
