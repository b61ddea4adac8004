"""Downloads from a real server on bad days. Waits and clocks are data."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from edge.models import download
from edge.models.download import ATTEMPTS, LONGEST_S, fetch
from edge.types import ModelError

DATA = bytes(range(256)) * 4096
MOST = 2 * len(DATA)


class Server(ThreadingHTTPServer):
    """Answers as the test says; keeps what was asked."""

    answer: Callable[[BaseHTTPRequestHandler], None]
    asked: list[dict[str, str]]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/model.suasana"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(dict(self.headers))
        self.close_connection = True
        self.server.answer(self)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server(("127.0.0.1", 0), Handler)
    server.asked, server.answer = [], send
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def send(
    handler: BaseHTTPRequestHandler,
    data: bytes = DATA,
    *,
    status: int = 200,
    length: int | None = None,
    **headers: str,
) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(data) if length is None else length))
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(data)


def get(server: Server, **how: object) -> bytes:
    return fetch(server.url, most=MOST, wait=lambda _: None, **how)  # type: ignore[arg-type]


def refused(source: str, **how: object) -> str:
    with pytest.raises(ModelError) as caught:
        fetch(source, most=MOST, wait=lambda _: None, **how)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_is_fetched_and_its_progress_told(server: Server) -> None:
    seen: list[tuple[int, int]] = []
    assert get(server, progress=lambda *step: seen.append(step)) == DATA
    assert seen[-1] == (len(DATA), len(DATA))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_what_broke_off_is_taken_up_again(server: Server) -> None:
    half = len(DATA) // 2

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked = handler.headers.get("Range")
        if asked is None:
            send(handler, DATA[:half], length=len(DATA), ETag='"v1"')
        else:
            assert handler.headers["If-Range"] == '"v1"'
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            send(handler, DATA[start:], status=206, ETag='"v1"')

    server.answer = answer
    assert get(server) == DATA
    assert [asked.get("Range") for asked in server.asked] == [None, f"bytes={half}-"]


@pytest.mark.parametrize("tag", [{}, {"ETag": 'W/"weak"'}])
def test_without_a_name_for_the_version_it_starts_over(server: Server, tag: dict[str, str]) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        whole = len(server.asked) == 3
        send(handler, DATA if whole else DATA[:100], length=len(DATA), **tag)

    server.answer = answer
    assert get(server) == DATA
    assert not any("Range" in asked for asked in server.asked)


def test_another_version_meanwhile_starts_over(server: Server) -> None:
    other = DATA[::-1]

    def answer(handler: BaseHTTPRequestHandler) -> None:
        if len(server.asked) == 1:
            send(handler, DATA[:100], length=len(DATA), ETag='"v1"')
        else:
            send(handler, other, ETag='"v2"')  # 200: If-Range did not hold

    server.answer = answer
    assert get(server) == other


def test_a_server_in_trouble_is_asked_again_but_not_for_ever(server: Server) -> None:
    server.answer = lambda handler: send(handler, b"", status=503 if len(server.asked) < 3 else 200)
    assert get(server) == b""
    server.asked.clear()
    server.answer = lambda handler: send(handler, b"", status=500)
    waits: list[float] = []
    with pytest.raises(ModelError, match="Internal Server Error"):
        fetch(server.url, most=MOST, wait=waits.append)
    assert len(server.asked) == ATTEMPTS
    assert waits == sorted(waits)


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_final_answer_is_final(server: Server, status: int) -> None:
    server.answer = lambda handler: send(handler, b"no", status=status)
    assert f"the server says {status}" in refused(server.url)
    assert len(server.asked) == 1


def test_a_file_that_claims_to_be_large_is_refused_at_once(server: Server) -> None:
    server.answer = lambda handler: send(handler, b"", length=10**12)
    assert "larger than 2 MiB" in refused(server.url)
    assert len(server.asked) == 1


def test_a_stream_without_an_end_is_cut(server: Server) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(DATA)
        except OSError:
            return

    server.answer = answer
    assert "larger than 2 MiB" in refused(server.url)


def test_a_server_that_drips_is_given_up_after_a_while(server: Server) -> None:
    seconds = iter(range(0, 10**9, int(LONGEST_S / 4)))
    assert "not done after 15 minutes" in refused(server.url, clock=lambda: float(next(seconds)))


def test_a_server_that_says_nothing_is_one_line(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "SILENCE_S", 0.05)
    released = threading.Event()
    server.answer = lambda _: (released.wait(30), None)[1]
    try:
        assert "timed out" in refused(server.url)
    finally:
        released.set()


@pytest.mark.parametrize(
    "answer", [b"", b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n"]
)
def test_a_server_that_speaks_nonsense_is_one_line(server: Server, answer: bytes) -> None:
    server.answer = lambda handler: (handler.wfile.write(answer), None)[1]
    assert refused(server.url).startswith(server.url)


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/x"])
def test_a_redirect_leads_to_no_other_kind_of_place(server: Server, target: str) -> None:
    server.answer = lambda handler: send(handler, b"", status=302, Location=target)
    assert "/" in refused(server.url)
    assert len(server.asked) == 1


def test_a_redirect_within_http_is_followed(server: Server) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        if handler.path == "/there":
            send(handler)
        else:
            send(handler, b"", status=302, Location="/there")

    server.answer = answer
    assert get(server) == DATA


def test_a_redirect_in_a_circle_ends(server: Server) -> None:
    server.answer = lambda handler: send(handler, b"", status=302, Location="/model.suasana")
    assert "302" in refused(server.url)


def test_nobody_listens(server: Server) -> None:
    server.server_close()
    assert "refused" in refused(server.url)


def test_secrets_in_an_address_are_not_told() -> None:
    told = refused("http://teacher:hunter2@127.0.0.1:1/x?key=sesame")
    assert "hunter2" not in told
    assert "sesame" not in told


def test_files_are_read_by_path_and_by_address(tmp_path: Path) -> None:
    path = tmp_path / "a b.suasana"
    path.write_bytes(DATA)
    assert fetch(str(path), most=MOST) == DATA
    assert fetch(path.as_uri(), most=MOST) == DATA
    assert "larger than" in refused_file(path)


def refused_file(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        fetch(str(path), most=len(DATA) - 1)
    return str(caught.value)


@pytest.mark.parametrize(
    "source", ["/dev/zero", "/proc", "", "none", "file:///none", "data:,x", "http:", "http://"]
)
def test_what_is_no_file_is_one_line(source: str) -> None:
    assert refused(source)
