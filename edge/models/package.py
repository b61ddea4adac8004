"""A model package: one file that carries a model folder, signed by who made it.

    suasana-model 1 <key id> <signature>    one line; Ed25519 (RFC 8032), the signature in base64
    PK…                                     the rest: a ZIP archive, stored, of the folder's files

The signature covers the format's version and every byte behind the line. It is judged first: no byte of a
stranger's archive is parsed. No date plays a part, since a kit has no clock to trust. ``python -m convert
sign`` writes such files.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import re
import stat
import sys
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edge.types import ModelError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MAGIC = b"suasana-model 1"
SUFFIX = ".suasana"
MAX_BYTES = 32 * 1024 * 1024
"""Of a package, and so of a model; the shipped ones have 1 and 2 MB."""
MAX_MEMBERS = 8
MODE = stat.S_IFREG | 0o644
ALWAYS = ("model.toml", "golden.toml", "MODEL_CARD.md")
"""What every package holds beside the weights that model.toml names, and nothing else."""

_LINE = re.compile(rb"suasana-model (\d{1,4}) ([0-9a-f]{16}) ([A-Za-z0-9+/]{86}==)\n")
_MEMBER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class Key:
    """A public key that packages may be signed with."""

    owner: str
    raw: bytes
    """32 bytes."""

    @property
    def id(self) -> str:
        """Names the key in a package's first line."""
        return hashlib.sha256(self.raw).hexdigest()[:16]

    def __str__(self) -> str:
        """As it stands in settings and in .pub files."""
        return f"ed25519:{base64.b64encode(self.raw).decode()} {self.owner}".strip()


@dataclass(frozen=True, slots=True)
class Package:
    """What a package holds, its signature checked."""

    files: Mapping[str, bytes]
    """By name; flat, as a model folder is."""
    key: Key
    """Whose signature it carries."""


def parse_key(text: str) -> Key:
    """Read ``ed25519:BASE64 OWNER``.

    Raises:
        ModelError: it is no such key.
    """
    kind, _, rest = text.strip().partition(":")
    code, _, owner = rest.partition(" ")
    try:
        raw = base64.b64decode(code, validate=True)
    except (ValueError, binascii.Error):
        raw = b""
    if kind != "ed25519" or len(raw) != 32 or "\n" in owner:
        raise ModelError(f"{text.strip()[:40]!r} is no key: one looks like ed25519:BASE64 OWNER")
    return Key(owner.strip(), raw)


def trusted_keys(texts: Iterable[str], folder: Path) -> list[Key]:
    """The keys of the settings, and of every ``*.pub`` file in *folder* where there is such a folder.

    Raises:
        ModelError: one of them is no key, or cannot be read.
    """
    keys = [parse_key(text) for text in texts]
    for path in sorted(folder.glob("*.pub")):
        try:
            keys.append(parse_key(path.read_text("utf-8")))
        except (OSError, UnicodeDecodeError, ModelError) as error:  # noqa: PERF203 -- a few files
            raise ModelError(f"{path}: {error}") from error
    return keys


def open(data: bytes, keys: Iterable[Key]) -> Package:
    """Check a package's signature and then its archive.

    Raises:
        ModelError: it is no package, nobody trusted signed it, it was altered, or its archive is not as
            ``convert sign`` writes it.
    """
    if len(data) > MAX_BYTES:
        raise ModelError(f"the package is larger than {MAX_BYTES // 2**20} MiB")
    key, payload = _check_signature(data, {key.id: key for key in keys})
    files = _unzip(payload)
    wanted = {*ALWAYS, *_weights(files)}
    if files.keys() != wanted:
        odd = sorted(files.keys() ^ wanted)
        raise ModelError(f"the package holds other files than a model: {', '.join(odd)[:200]}")
    return Package(files, key)


def signed_part(payload: bytes) -> bytes:
    """What is signed: the format's name keeps a signature from being used for anything else."""
    return MAGIC + b"\n" + payload


def _check_signature(data: bytes, keys: Mapping[str, Key]) -> tuple[Key, bytes]:
    if not keys:
        raise ModelError(
            "no key is trusted here, so no model can be installed: put the maker's public key into "
            "updates.trusted_keys of the settings"
        )
    line = _LINE.match(data[:200])
    if line is None:
        raise ModelError("not a signed model package: `python -m convert sign` makes one")
    if int(line[1]) != 1:
        raise ModelError(
            f"a package of format {int(line[1])}: this software reads format 1 only, update it first"
        )
    key = keys.get(line[2].decode())
    if key is None:
        raise ModelError(f"signed with the key {line[2].decode()}, which is not trusted here")
    payload, signature = data[line.end() :], base64.b64decode(line[3])
    if base64.b64encode(signature) != line[3]:  # its last letter has four bits that say nothing
        raise ModelError("the signature is not written as `python -m convert sign` writes it")
    # Here, since the daemon never judges a signature and need not carry seven megabytes of library.
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415

    try:
        Ed25519PublicKey.from_public_bytes(key.raw).verify(signature, signed_part(payload))
    except (InvalidSignature, ValueError):
        raise ModelError("the signature does not fit: the package was altered, or is not whole") from None
    return key, payload


def _unzip(payload: bytes) -> dict[str, bytes]:
    """The archive's files. A maker's mistake or a stolen key must not reach the disk either."""
    try:
        with zipfile.ZipFile(io.BytesIO(payload)) as archive:
            members = archive.infolist()
            _check_members(members, len(payload))
            return {member.filename: archive.read(member) for member in members}
    except (
        zipfile.BadZipFile,
        zlib.error,
        OSError,
        EOFError,
        ValueError,
        RuntimeError,
        NotImplementedError,
    ) as error:
        raise ModelError(f"the package's archive is damaged ({error})") from error


def _check_members(members: list[zipfile.ZipInfo], size: int) -> None:
    if len(members) > MAX_MEMBERS:
        raise ModelError(f"the package holds {len(members)} files; {MAX_MEMBERS} is the most")
    if len({member.filename.lower() for member in members}) != len(members):
        raise ModelError("the package holds two files of one name")
    for member in members:
        name = member.filename
        if not _MEMBER.fullmatch(name):
            raise ModelError(f"the package holds a file of a name that is not allowed: {name[:60]!r}")
        if member.external_attr >> 16 != MODE:
            raise ModelError(f"the package's {name} is a link, a folder or otherwise no plain file")
        if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 0x1:
            raise ModelError(f"the package's {name} is compressed or encrypted; only stored files are read")
    if sum(member.file_size for member in members) > size:
        raise ModelError("the package's files claim to be larger than the package")


def _weights(files: Mapping[str, bytes]) -> set[str]:
    """The files that model.toml names; edge.manifest reads the rest of it."""
    try:
        table = tomllib.loads(files["model.toml"].decode("utf-8"))
        return {str(file["path"]) for file in table["files"].values()}
    except KeyError as error:
        raise ModelError(f"the package has no {error.args[0]}") from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(f"the package's model.toml is not readable ({error})") from error
