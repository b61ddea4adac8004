"""Adding a kit in a real browser, at a real site; the kit reads the code from a photograph of the screen."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.broker.invitation import parse
from edge.pair.joining import pair
from edge.pair.sight import read_invitation
from edge.site.access import Member
from edge.site.folder import Site, Wishes
from tests.conftest import eventually, free_port
from tests.dashboard.chromium import PROGRAM, Tab, debugger, tab
from tests.dashboard.kits import Server, answers, running, running_server
from tests.dashboard.test_browser import OVERFLOW, reads
from tests.dashboard.test_screens import WORDS, at, judge, log_in, put
from tests.sites import NOW, running_broker

__all__ = ["debugger", "tab"]
"""Fixtures."""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(PROGRAM is None, reason="chromium is not installed"),
]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A school's broker and its registrar, each a process of its own."""
    wishes = Wishes("sekolah-1", ("127.0.0.1",), free_port(), registrar_port=free_port())
    made = Site.create(tmp_path / "site", wishes, NOW)
    made.add(Member("teacher_page", "dashboard", invites=True), NOW)
    command = ("-m", "edge", "site", "registrar", str(made.folder), "--door-port", str(free_port()))
    with running_broker(made), running(*command, log=tmp_path / "registrar.log") as process:
        eventually(lambda: answers(made.register().registrar_port) or process.poll() is not None)
        assert process.poll() is None, (tmp_path / "registrar.log").read_text()
        yield made


@pytest.fixture
def page(site: Site, tmp_path: Path) -> Iterator[tuple[Server, str]]:
    """The site's page, which wants to be set up, and its code."""
    register, folder = site.register(), site.folder / "clients" / "teacher_page"
    files = (("--mqtt-ca", "ca.pem"), ("--mqtt-cert", "client.pem"), ("--mqtt-key", "client.key"))
    options = [
        "--mqtt",
        f"mqtts://127.0.0.1:{register.port}",
        "--registrar-port",
        str(register.registrar_port),
    ]
    for name, file in files:
        options += [name, str(folder / file)]
    log = tmp_path / "log"
    with running_server(register.port, tmp_path / "page", options=tuple(options), log=log) as served:
        eventually(lambda: "the code is" in log.read_text())
        code = re.search(r"the code is (\w+)", log.read_text())
        assert code is not None
        eventually(lambda: served.get("/healthz")["broker"])
        yield served, code[1]


def set_up(tab: Tab, server: Server, code: str) -> None:
    people = {"admin": {"name": "Budi", "password": WORDS}, "teacher": {"name": "Ani", "password": WORDS}}
    body = json.dumps(people | {"code": code, "consent": True})
    tab.open(server.url)
    script = f"""fetch('/api/setup', {{method: 'POST', body: JSON.stringify({body}),
      headers: {{'Content-Type': 'application/json'}}}}).then((answer) => answer.status)"""
    assert tab.run(script) == 201


def ask_for(tab: Tab, name: str, *, replaces: bool = False) -> None:
    eventually(lambda: tab.run("Boolean(document.querySelector('#add-kit'))"))
    tab.click("#add-kit")
    put(tab, "#invite-name", name)
    if replaces:
        tab.run("document.querySelector('#invite-replaces').checked = true")
    tab.run("document.querySelector('#dialog-choices .main').click()")


def test_an_admin_adds_a_kit_without_a_terminal(tab, page, site, tmp_path):
    server, code = page
    set_up(tab, server, code)
    log_in(tab, server, "Ani", WORDS)
    eventually(lambda: at(tab) == "now")
    tab.run("location.hash = '#kits'")
    eventually(lambda: at(tab) == "kits" and tab.run("Boolean(document.querySelector('#kit-tools'))"))
    reads(tab, "#no-kit", "Menunggu")
    assert tab.run("document.querySelector('#kit-tools').hidden"), "a teacher invites nobody"
    tab.call("Network.clearBrowserCookies")
    log_in(tab, server, "Budi", WORDS)
    eventually(lambda: at(tab) == "kits")
    ask_for(tab, "Kelas 1A")
    reads(tab, "#dialog-answer", "Nama kit terdiri dari huruf kecil")
    tab.photograph("invite-form")
    assert judge(tab) == []
    put(tab, "#invite-name", "kelas-1a")
    tab.run("document.querySelector('#dialog-choices .main').click()")
    reads(tab, "#dialog-title", "Undangan untuk kelas-1a")
    reads(tab, "#invite-state", "Menunggu kelas-1a. Kode berlaku sampai")
    for width, height, dark in ((1280, 800, False), (360, 740, True), (1280, 800, True)):
        tab.show(width, height, dark=dark)
        tab.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        photo = tab.photograph(f"invite-{width}-{'dark' if dark else 'light'}")
        assert judge(tab) == [], (width, dark)
        assert tab.run(OVERFLOW) == [], (width, dark)
    seen = read_invitation(f"replay:{photo}?speed=0", patience_s=5)
    assert seen == parse(tab.text("#invite-token"))
    assert pair(seen, tmp_path / "kit.toml").kit == "kelas-1a"
    reads(tab, "#invite-state", "kelas-1a sudah bergabung.")
    assert tab.run("document.querySelectorAll('#dialog svg.qr, #invite-token').length") == 0, (
        "it is worthless"
    )
    tab.click("#dialog-choices .main")
    tab.run("document.querySelector('[data-language=en]').click()")
    ask_for(tab, "kelas-1a")
    reads(tab, "#dialog-answer", "There is a kit of this name already.")
    tab.run("document.querySelector('#invite-replaces').click()")
    tab.run("document.querySelector('#dialog-choices .main').click()")
    reads(tab, "#invite-state", "Waiting for kelas-1a. The code holds until")
    photo = tab.photograph("invite-1280-en")
    tab.run("document.querySelector('#dialog-choices .quiet').click()")
    eventually(lambda: not tab.run("document.querySelector('#dialog').open"))
    tab.run("location.hash = '#office'")
    reads(tab, "#audit tbody", "invited a kit in the place of another")
    reads(tab, "#audit tbody", "took an invitation back")
