"""The contract as files: they say what the code says, the daemon keeps to them, and they only grow."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from edge.contract import pages
from edge.contract.channels import CHANNELS, channel_of
from edge.contract.pages import complete, files, layout
from edge.contract.schemas import PAYLOADS
from edge.events import Event, EventError, from_json, parse_time, split_topic, to_json
from edge.settings import Camera
from tests.conftest import ROOT, eventually, subscribe
from tests.test_daemon import Running
from tests.test_daemon import settings as daemon_settings

DOCS = ROOT / "docs"
FIRST = ROOT / "tests" / "golden" / "schema-1"
"""Messages and schemas as schema version 1 began; never written again."""
EXAMPLES = pages.example_paths(DOCS)


def table(path: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return read


@cache
def validator(name: str, folder: Path = DOCS / "contract") -> Draft202012Validator:
    return Draft202012Validator(table(folder / f"{name}.schema.json"), format_checker=FormatChecker())


def reader(name: str) -> Callable[[str], Any]:
    return Event.from_json if name == "event" else lambda payload: from_json(PAYLOADS[name], payload)


def write(payload: Any) -> str:
    return payload.to_json() if hasattr(payload, "to_json") else to_json(payload)


def schema_of(leaf: str) -> str:
    return channel_of(leaf).name


def kind(path: Path) -> str:
    return path.stem.split(".")[0]


def test_the_files_say_what_the_code_says() -> None:
    stale = [path.name for path, text in files(DOCS).items() if path.read_text("utf-8") != text]
    assert not stale, "run `make contract`"


def test_check_names_what_is_out_of_date_and_writing_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "contract" / "examples").mkdir(parents=True)
    (tmp_path / "events.md").write_text("<!-- fields: Session -->\nold\n<!-- end -->\n")
    (tmp_path / "contract" / "examples" / "state.json").write_text('{"mood": "sad", "gone": 1}')
    monkeypatch.setattr("sys.argv", ["contract", "--docs", str(tmp_path), "--check"])
    assert pages.main() == 1
    assert "state.schema.json" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["contract", "--docs", str(tmp_path)])
    assert pages.main() == 0
    monkeypatch.setattr("sys.argv", ["contract", "--docs", str(tmp_path), "--check"])
    assert pages.main() == 0
    assert "| `phase` | `start`, `end` |" in (tmp_path / "events.md").read_text()
    mended = table(tmp_path / "contract" / "examples" / "state.json")
    assert mended["mood"] == "sad"
    assert "gone" not in mended
    assert "people" in mended
    monkeypatch.setattr("sys.argv", ["contract", "--docs", str(tmp_path / "nowhere")])
    assert pages.main() == 2


@pytest.mark.parametrize("path", sorted((DOCS / "contract").glob("*.schema.json")), ids=lambda p: p.stem)
def test_every_schema_is_one(path: Path) -> None:
    Draft202012Validator.check_schema(table(path))


def test_every_message_has_an_example() -> None:
    shown = {kind(path) for path in EXAMPLES}
    assert shown == {schema_of(c.leaf) for c in CHANNELS if isinstance(c.payload, type)}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_an_example_fits_its_schema_and_the_code_reads_and_writes_it(path: Path) -> None:
    validator(kind(path)).validate(table(path))
    assert json.loads(write(reader(kind(path))(path.read_text("utf-8")))) == table(path)
    assert complete(path.stem, table(path)) == table(path)


@pytest.mark.parametrize("path", sorted(FIRST.glob("*.json")), ids=lambda p: p.stem)
def test_the_first_messages_of_this_version_are_still_read(path: Path) -> None:
    reader(kind(path))(path.read_text("utf-8"))
    validator(kind(path)).validate(table(path))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_who_learned_the_first_schemas_understands_what_is_said_today(path: Path) -> None:
    if not (FIRST / "schemas" / f"{kind(path)}.schema.json").is_file():
        return  # readers pass over topics that they do not know
    first = validator(kind(path), FIRST / "schemas")
    if kind(path) == "event":
        known = [schema["properties"]["type"]["const"] for schema in first.schema["$defs"].values()]
        if table(path)["type"] not in known:
            return  # readers pass over types of events that they do not know
    first.validate(table(path))


@pytest.mark.parametrize("path", [p for p in EXAMPLES if kind(p) == "event"], ids=lambda p: p.stem)
def test_the_cloudevents_sdk_reads_every_event(path: Path) -> None:
    told = JSONFormat().read(CloudEvent, Event.from_json(path.read_text("utf-8")).to_json())
    ours = table(path)
    assert told.get_id() == ours["id"]
    assert told.get_source() == f"suasana/{ours['data']['kit']}"
    moment = told.get_time()
    assert moment is not None
    assert moment.timestamp() == parse_time(ours["time"])
    assert told.get_data() == ours["data"]


LEAVES = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(-1e9, 1e9) | st.text(max_size=9)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)


def _places(value: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    for key, inner in list(value.items() if isinstance(value, dict) else enumerate(value)):
        found.append((value, key))
        if isinstance(inner, dict | list):
            found += _places(inner)
    return found


@settings(deadline=None)  # it says nothing about speed
@given(st.sampled_from(EXAMPLES), st.data())
def test_schema_and_reader_accept_the_same_messages(path: Path, data: st.DataObject) -> None:
    """One value of a good message is replaced or taken away: both refuse what comes of it, or neither."""
    message = table(path)
    holder, key = data.draw(st.sampled_from(_places(message)))
    if data.draw(st.booleans()) and isinstance(holder, dict):
        del holder[key]
    else:
        holder[key] = data.draw(JSON)
    try:
        reader(kind(path))(json.dumps(message))
        accepted = True
    except EventError:
        accepted = False
    assert validator(kind(path)).is_valid(message) == accepted, message


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    document = table(DOCS / "contract" / "asyncapi.json")
    for holder, key in _places(document):
        if key == "$ref":
            target: Any = document
            for step in holder[key].removeprefix("#/").split("/"):
                target = target[step]
            assert target
    addresses = {channel["address"] for channel in document["channels"].values()}
    assert addresses == {f"suasana/{{kit}}/{channel.leaf}" for channel in CHANNELS}


def test_what_the_daemon_says_on_a_real_broker_keeps_to_the_contract(
    tmp_path: Path, any_broker: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.desk.FIRST_HEALTH_S", 0.5)
    monkeypatch.setattr("edge.desk.HEALTH_EVERY_S", 0.5)
    clients = subscribe(any_broker)
    heard = next(clients)
    told: set[str] = set()
    with Running(daemon_settings(tmp_path, any_broker, camera=Camera("pattern:"))):
        eventually(lambda: heard.payloads("suasana/k1/event"))
        for verb in ("ping", "info", "health", "dance"):
            heard.client.publish(f"suasana/k1/request/{verb}", '{"transaction": "1"}', qos=1)
        for verb in ("settings-change", "model-part", "model-rollback"):  # refused here, and told so
            example = table(DOCS / "contract" / "examples" / f"request-{verb}.json")
            heard.client.publish(f"suasana/k1/request/{verb}", json.dumps(example), qos=1)
            eventually(lambda verb=verb: heard.payloads(f"suasana/k1/response/{verb}"))  # type: ignore[misc]
        heard.client.publish("suasana/k1/request/models", "{}", qos=1)
        for name, value in (("camera", "off"), ("capture", "off"), ("camera", "on"), ("tap", "off")):
            heard.client.publish(f"suasana/k1/set/{name}", value, qos=1)
        for name, value in (("capture", "on"), ("mode", "practice")):
            heard.client.publish(f"suasana/k1/set/{name}", value, qos=1)
        heard.client.publish("suasana/k1/request/practice-learn", '{"consent": true}', qos=1)
        heard.client.publish("suasana/k1/request/practice-round", '{"seconds": 60}', qos=1)
        eventually(lambda: len(heard.payloads("suasana/k1/response/set")) == 6)
        eventually(lambda: heard.payloads("suasana/k1/practice"))
        eventually(lambda: heard.payloads("suasana/k1/response/practice-learn"))
        eventually(
            lambda: heard.payloads("suasana/k1/health") and heard.payloads("suasana/k1/response/dance")
        )
    for topic, payload, _ in list(heard.messages):
        _, leaf = split_topic(topic)
        channel = channel_of(leaf)
        name = schema_of(leaf)
        value = json.loads(payload) if isinstance(channel.payload, type) else payload
        validator(name).validate(value)
        told.add(name)
    clients.close()
    assert told == {path.name.split(".")[0] for path in (DOCS / "contract").glob("*.schema.json")}


def test_long_examples_are_laid_out_to_be_read() -> None:
    assert layout({"a": 1}) == '{"a": 1}'
    long = {"list": ["x" * 60, "y" * 60], "none": {}}
    assert layout(long).count("\n") == 6
    assert json.loads(layout(long)) == long
