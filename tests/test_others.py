"""Programs of others that read our messages: the Python example, Node-RED, AsyncAPI's own parser.

Node-RED and the parser come from npm: `make test-others` puts them into .venv/share/node.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest

from edge.sinks import open_sink
from tests.conftest import PATIENCE_S, ROOT, Subscriber, eventually, free_port, subscribe
from tests.test_sinks import event, tend_until

MODULES = ROOT / ".venv" / "share" / "node" / "node_modules"
EXAMPLES = ROOT / "docs" / "contract" / "examples"

PARSE = """
const { Parser } = require("@asyncapi/parser");
const text = require("fs").readFileSync(process.argv[1], "utf8");
new Parser().parse(text).then(({ document, diagnostics }) => {
    const told = diagnostics.filter((d) => d.code !== "asyncapi-latest-version");
    console.log(JSON.stringify({ channels: document ? document.channels().all().length : 0, told }));
});
"""


def node(module: str) -> str:
    program = shutil.which("node")
    if program is None or not (MODULES / module).is_dir():
        pytest.skip(f"{module} is not installed: make test-others")
    return program


def test_the_python_example_prints_each_mood_once(any_broker: int, tmp_path: Path) -> None:
    out = tmp_path / "out"
    example = [sys.executable, str(ROOT / "docs" / "examples" / "subscribe.py"), "127.0.0.1", str(any_broker)]
    clients = subscribe(any_broker)
    heard: Subscriber = next(clients)

    def say(number: int, **changes: object) -> None:
        heard.client.publish("suasana/k1/event", event(number, **changes).to_json(), qos=1)

    with out.open("w") as file, subprocess.Popen(example, stdout=file) as program:
        try:
            eventually(
                lambda: say(0) or out.read_text()
            )  # until it listens; it prints the first that it hears
            for number in (1, 1, 2):
                say(number, mood=None, shares={}, suppressed="too_few_people", people=number)
            eventually(lambda: out.read_text().count("too_few_people") == 2)
        finally:
            program.terminate()
            clients.close()
    assert [line.split(" ", 1)[1].strip() for line in out.read_text().splitlines()] == [
        "k1 happy happy 75%, uncertain 25%",
        "k1 too_few_people",
        "k1 too_few_people",
    ]


def test_node_red_runs_the_flow(mosquitto: int, tmp_path: Path) -> None:
    program = node("node-red")
    flow = json.loads((ROOT / "docs" / "node-red" / "flow.json").read_text("utf-8"))
    (broker,) = [item for item in flow if item["type"] == "mqtt-broker"]
    broker["port"] = str(mosquitto)
    (tmp_path / "flows.json").write_text(json.dumps(flow))
    port = free_port()
    red = [program, str(MODULES / "node-red" / "red.js"), "--userDir", str(tmp_path), "--port", str(port)]
    clients = subscribe(mosquitto)
    heard: Subscriber = next(clients)
    with open_sink(f"mqtt://127.0.0.1:{mosquitto}", kit="kit-1") as sink:
        sink.retain("state", (EXAMPLES / "state.json").read_text("utf-8"))
        sink.retain("source/camera/status", "online")
        process = subprocess.Popen([*red, "flows.json"], stdout=subprocess.DEVNULL)
        try:
            tend_until(sink, lambda: _answers(f"http://127.0.0.1:{port}/flows"))
            sentences = "ruang/kit-1/suasana"
            tend_until(sink, lambda: heard.payloads(sentences))
            sink.retain("state", (EXAMPLES / "state.off.json").read_text("utf-8"))
            sink.retain("source/camera/status", "recovering")
            tend_until(
                sink, lambda: len(heard.payloads(sentences)) == 2 and heard.payloads("ruang/kit-1/gangguan")
            )
            press = Request(f"http://127.0.0.1:{port}/inject/suasana.pause", method="POST", data=b"")
            with urlopen(press, timeout=PATIENCE_S) as answer:
                assert answer.status == 200
            tend_until(sink, lambda: heard.payloads("suasana/demo/set/capture"))
        finally:
            process.terminate()
            process.wait(PATIENCE_S)
            clients.close()
    assert heard.payloads(sentences) == ["senang 62%, 16 wajah", "dijeda"]
    assert heard.payloads("ruang/kit-1/gangguan") == ["kit-1: camera recovering"]
    assert heard.payloads("suasana/demo/set/capture") == ["off"]


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=5):
            return True
    except HTTPError:
        return True
    except (URLError, OSError):
        return False


def test_asyncapis_own_parser_finds_nothing_wrong() -> None:
    program = node("@asyncapi/parser")
    document = ROOT / "docs" / "contract" / "asyncapi.json"
    run = subprocess.run(
        [program, "-e", PARSE, str(document)], capture_output=True, text=True, check=True, cwd=MODULES.parent
    )
    said = json.loads(run.stdout)
    assert said["told"] == []
    assert said["channels"] == len(json.loads(document.read_text("utf-8"))["channels"])
