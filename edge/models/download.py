"""A file or an address into bytes: bounded in size and in time, taken up again where a bad line broke it off.

Nothing is written, so what breaks off leaves nothing behind. Who sent the bytes does not matter:
edge.models.package judges their signature.
"""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPMessage
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit, urlunsplit
from urllib.request import url2pathname

from edge.types import ModelError

SILENCE_S = 20.0
"""A server that says nothing for so long is given up for this attempt."""
LONGEST_S = 900.0
"""For everything together: 2 MB at 3 kB/s."""
ATTEMPTS = 5
CHUNK = 64 * 1024

Progress = Callable[[int, int], None]
"""Hears the bytes so far and of the whole; 0 where the whole is not known."""


@dataclass(slots=True)
class _Part:
    """What has arrived, and what the server calls the version it is of."""

    data: bytearray
    size: int = 0
    tag: str = ""


class _FinalError(Exception):
    """The server's answer is final: asking again will not change it."""


def fetch(
    source: str,
    *,
    most: int,
    progress: Progress = lambda *_: None,
    clock: Callable[[], float] = time.monotonic,
    wait: Callable[[float], None] = time.sleep,
) -> bytes:
    """The bytes of a path, or of a ``file:``, ``http:`` or ``https:`` address.

    Args:
        source: what to fetch.
        most: bytes that it may have.
        progress: hears of every step.
        clock: in seconds, for the limit on the whole.
        wait: between attempts.

    Raises:
        ModelError: it is not there, too large, too slow, or cannot be fetched in a few attempts.
    """
    scheme = urlsplit(source).scheme.lower()
    if scheme in ("http", "https"):
        return _download(source, most, progress, clock, wait)
    if scheme == "file":
        return _read(Path(url2pathname(urlsplit(source).path)), most, progress)
    if "://" in source:
        raise ModelError(f"{_shown(source)}: only files, http and https can be fetched")
    return _read(Path(source), most, progress)


def _read(path: Path, most: int, progress: Progress) -> bytes:
    try:
        if not path.is_file():  # a pipe or a device might never end
            raise ModelError(f"{path}: no such file")
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror or error}") from error
    if len(data) > most:
        raise ModelError(f"{path}: larger than {most // 2**20} MiB")
    progress(len(data), len(data))
    return data


def _download(
    url: str, most: int, progress: Progress, clock: Callable[[], float], wait: Callable[[float], None]
) -> bytes:
    part, deadline, problem = _Part(bytearray()), clock() + LONGEST_S, ""
    for attempt in range(ATTEMPTS):
        if attempt:
            wait(2.0**attempt)
        try:
            _attempt(url, part, most, progress, lambda: deadline - clock())
        except _FinalError as error:
            raise ModelError(f"{_shown(url)}: {error}") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            problem = str(getattr(error, "reason", error)) or type(error).__name__
        else:
            return bytes(part.data)
        if clock() > deadline:
            problem = f"not done after {LONGEST_S / 60:.0f} minutes"
            break
    problem = " ".join(problem.split())[:200]
    raise ModelError(f"{_shown(url)}: {problem} ({len(part.data)} bytes had arrived)")


def _attempt(url: str, part: _Part, most: int, progress: Progress, left_s: Callable[[], float]) -> None:
    """Fetch what is missing."""
    request = urllib.request.Request(url, headers={"Accept-Encoding": "identity"})  # noqa: S310 -- checked above
    if part.data and part.tag:
        request.add_header("Range", f"bytes={len(part.data)}-")
        request.add_header("If-Range", part.tag)
    else:
        part.data.clear()
    try:
        answer = urllib.request.build_opener(_Redirects).open(request, timeout=SILENCE_S)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code >= 500 or error.code in (408, 429):
            raise
        reason = " ".join(str(error.reason).split())[:100]
        raise _FinalError(f"the server says {error.code} {reason}") from error
    with answer:
        if answer.status != 206:
            part.data.clear()  # another version by now, or a server that knows no ranges
        part.tag = _strong_tag(answer.headers)
        part.size = len(part.data) + int(answer.headers.get("Content-Length") or 0)
        if part.size > most:
            raise _FinalError(f"larger than {most // 2**20} MiB")
        while chunk := answer.read1(CHUNK):
            part.data += chunk
            if len(part.data) > most:
                raise _FinalError(f"larger than {most // 2**20} MiB")
            progress(len(part.data), part.size)
            if left_s() < 0:
                raise TimeoutError("too slow")
        if len(part.data) < part.size:
            raise ConnectionError("the connection broke off")


def _strong_tag(headers: Message) -> str:
    """What names the very bytes of this version; without it nothing can be taken up again."""
    tag = headers.get("ETag") or ""
    return "" if tag.startswith("W/") else tag


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to http and https only, and never from https to http."""

    def redirect_request(  # noqa: PLR0917 -- the library's signature
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        scheme = urlsplit(newurl).scheme.lower()
        if scheme != "https" and scheme != urlsplit(req.full_url).scheme.lower():
            fp.close()
            raise _FinalError(f"sends on to {_shown(newurl)}, where nothing is fetched from")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _shown(url: str) -> str:
    """The address without a password or a query, which may be secret."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))[:200]
