"""What cannot be read, told by the key of its sentence; and what a file looks like."""

from __future__ import annotations

from pathlib import Path

LARGEST_BYTES = 256_000_000
"""The page refuses larger uploads; two hours of 16 kHz wav still get their own sentence, "too long"."""


class UnreadableError(Exception):
    """The file cannot be read; *key* names the sentence in ``words`` that says so."""

    def __init__(self, key: str, **values: float) -> None:
        super().__init__(key)
        self.key, self.values = key, values


def look(path: Path) -> str:
    """What the file's first bytes say it is: empty, sound, picture, heic, video or other.

    Raises:
        UnreadableError: it is gone.
    """
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError:
        raise UnreadableError("trouble.gone") from None
    brand = head[8:12]
    if not head:
        return "empty"
    if head[4:8] == b"ftyp":
        return "heic" if brand in {b"heic", b"heix", b"mif1", b"msf1", b"avif"} else "video"
    if head.startswith((b"\x1a\x45\xdf\xa3", b"\x00\x00\x01\xba", b"FLV")) or (
        head[:4] == b"RIFF" and brand == b"AVI "
    ):
        return "video"
    if head.startswith((b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"II*\x00", b"MM\x00*")) or (
        head[:4] == b"RIFF" and brand == b"WEBP"
    ):
        return "picture"
    if head.startswith((b"fLaC", b"OggS", b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2", b"FORM")) or (
        head[:4] in {b"RIFF", b"RF64"} and brand == b"WAVE"
    ):
        return "sound"
    return "other"
