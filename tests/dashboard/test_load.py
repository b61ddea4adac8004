"""Two hundred pages on one server: everybody hears everything, and the server stays small."""

import asyncio
import json
import time
from pathlib import Path

from tests.conftest import eventually

PAGES = 200
NEWS = 20


def test_two_hundred_pages_hear_every_window(server, make_kit):
    kit = make_kit()
    kit.introduce()
    eventually(lambda: server.get("/api/kits")["kits"])
    heard = asyncio.run(listen(server, kit))
    assert heard == [list(range(NEWS))] * PAGES
    usage = Path(f"/proc/{server.process.pid}/status").read_text()
    peak_mb = int(usage.partition("VmHWM:")[2].split()[0]) / 1024
    assert peak_mb < 200, f"{peak_mb:.0f} MB"


async def listen(server, kit) -> list[list[int]]:
    host, port = server.url.removeprefix("http://").split(":")
    pages = [await asyncio.open_connection(host, int(port), limit=2**20) for _ in range(PAGES)]
    for _, writer in pages:
        writer.write(f"GET /api/stream HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    readers = [asyncio.create_task(windows(reader)) for reader, _ in pages]
    await asyncio.to_thread(eventually, lambda: server.get("/healthz")["pages"] == PAGES)
    for number in range(NEWS):
        await asyncio.to_thread(kit.read, time.time(), people=number)
    heard = await asyncio.wait_for(asyncio.gather(*readers), 120)
    for _, writer in pages:
        writer.close()
    return heard


async def windows(reader: asyncio.StreamReader) -> list[int]:
    """The number of people in each window that one page is told of."""
    found: list[int] = []
    name = ""
    while len(found) < NEWS:
        line = (await reader.readline()).decode().strip()
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: ") and name == "window":
            found.append(json.loads(line.removeprefix("data: "))["people"])
    return found
