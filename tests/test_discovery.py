"""Home Assistant: judged by the keys and words of its own schemas, and by itself where it is installed.

``tests/golden/home-assistant.json`` is what ``python tests/home_assistant.py schemas`` printed under a Home
Assistant. The last tests need one: set HOME_ASSISTANT_PYTHON to the command of a Python (3.13.2 and up)
with homeassistant, and the home-assistant-frontend, paho-mqtt and numpy that it pins.
"""

import json
import os
import shlex
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge.contract.commands import Command
from edge.discovery import WORDS, announcements, config_topic, introduce
from edge.events import Info, from_json
from edge.settings import HomeAssistant, Settings
from edge.sinks import open_sink
from edge.types import SettingsError
from edge.words import LABELS
from tests.conftest import PATIENCE_S, ROOT, Subscriber, eventually, subscribe
from tests.test_daemon import Running
from tests.test_daemon import settings as daemon_settings
from tests.test_sinks import tend_until

EXAMPLES = ROOT / "docs" / "contract" / "examples"
INFO = from_json(Info, (EXAMPLES / "info.json").read_text("utf-8"))
BOTH = ("camera", "microphone")
PROGRAM = ROOT / "tests" / "home_assistant.py"
SCHEMAS: dict[str, Any] = json.loads((ROOT / "tests" / "golden" / "home-assistant.json").read_text("utf-8"))


@pytest.mark.parametrize("language", ["id", "en"])
def test_home_assistants_schemas_know_every_key_and_word(language) -> None:
    device = introduce(INFO, BOTH, language)
    assert device["device"]["identifiers"]
    assert device["origin"]["name"] == "suasana"
    for name, entity in device["components"].items():
        known = SCHEMAS["platforms"][entity["platform"]]
        assert set(entity) - {"platform"} <= set(known), name
        assert {key for key, required in known.items() if required} <= set(entity), name
        kind = entity.get("device_class")
        if entity["platform"] == "sensor":
            assert kind is None or kind in SCHEMAS["sensor"], name
            assert (
                kind is None
                or "state_class" not in entity
                or entity["state_class"] in SCHEMAS["sensor"][kind]
            )
        elif kind:
            assert kind in SCHEMAS["binary_sensor"], name


def test_every_entity_has_a_name_and_an_identity_of_its_own() -> None:
    for language in ("id", "en"):
        entities = introduce(INFO, BOTH, language)["components"]
        assert len({entity["unique_id"] for entity in entities.values()}) == len(entities)
        assert len({entity["name"] for entity in entities.values()}) == len(entities)
    other = introduce(replace(INFO, kit="kit-2"), BOTH, "id")["components"]
    assert not {e["unique_id"] for e in entities.values()} & {e["unique_id"] for e in other.values()}
    assert set(WORDS["id"]) == set(WORDS["en"]) >= set(LABELS)


def test_a_kit_has_entities_for_what_it_has() -> None:
    entities = introduce(replace(INFO, labels=("happy", "sad", "fear")), ["microphone"], "en")["components"]
    assert {name for name in entities if name.startswith("share_")} == {
        "share_happy",
        "share_sad",
        "share_fear",
        "share_uncertain",
    }
    assert "camera" not in entities
    assert "camera_problem" not in entities
    assert entities["microphone"]["command_topic"] == "suasana/kit-1/set/microphone"
    assert introduce(replace(INFO, window_s=30.0), BOTH, "en")["components"]["mood"]["expire_after"] == 120


def test_switching_it_off_or_moving_it_takes_the_old_introduction_back(tmp_path: Path) -> None:
    memory = tmp_path / "state" / "announced.json"

    def topics(prefix: str) -> dict[str, bool]:
        said = announcements(INFO, BOTH, memory, prefix=prefix, language="id")
        return {name: bool(payload) for name, payload in said}

    old, new = config_topic("homeassistant", "kit-1"), config_topic("ha", "kit-1")
    assert topics("") == {}, "a kit that was never introduced says nothing"
    assert topics("homeassistant") == {old: True}
    assert topics("ha") == {old: False, new: True}
    assert topics("") == {old: False, new: False}
    memory.write_text("torn")
    assert topics("ha") == {new: True}


@pytest.mark.parametrize("prefix", ["", "#", "a b", "/a", "a/", "a//b"])
def test_a_prefix_that_is_no_topic_is_refused(prefix: str) -> None:
    with pytest.raises(SettingsError, match=r"homeassistant\.prefix"):
        Settings(homeassistant=HomeAssistant(prefix=prefix))


def test_the_daemon_introduces_itself_again_when_home_assistant_starts_and_withdraws_when_told(
    tmp_path: Path, any_broker: int
) -> None:
    topic = "homeassistant/device/k1/config"
    clients = subscribe(any_broker)
    heard: Subscriber = next(clients)
    with Running(daemon_settings(tmp_path, any_broker, homeassistant=HomeAssistant(discovery=True))):
        eventually(lambda: len(heard.payloads(topic)) == 1)
        heard.client.publish("homeassistant/status", "offline", qos=1)
        heard.client.publish("homeassistant/status", "online", qos=1)
        eventually(lambda: len(heard.payloads(topic)) == 2)
    first, second = heard.payloads(topic)
    assert first == second
    assert "camera" in json.loads(first)["components"]
    late = subscribe(any_broker)
    assert eventually_retained(next(late), topic) == first
    late.close()
    with Running(daemon_settings(tmp_path, any_broker)):
        eventually(lambda: heard.payloads(topic)[-1] == "")
    clients.close()


def eventually_retained(heard: Subscriber, topic: str) -> str:
    eventually(lambda: [payload for name, payload, kept in heard.messages if kept and name == topic])
    return heard.payloads(topic)[0]


# ── With Home Assistant itself ───────────────────────────────────────────────────────────────────────


def home_assistant(*arguments: str) -> subprocess.Popen[bytes]:
    command = shlex.split(os.environ.get("HOME_ASSISTANT_PYTHON", ""))
    if not command:
        pytest.skip("HOME_ASSISTANT_PYTHON does not name a Python that has Home Assistant")
    with PROGRAM.open("rb") as program:
        return subprocess.Popen([*command, "-", *arguments], stdin=program, stdout=subprocess.PIPE)


@pytest.mark.parametrize("language", ["id", "en"])
def test_home_assistants_own_schemas_take_it(language) -> None:
    device = introduce(INFO, BOTH, language)
    program = home_assistant("check", json.dumps(device))
    said, _ = program.communicate(timeout=120)
    assert program.returncode == 0
    assert int(said) == len(device["components"])


def test_home_assistant_shows_a_kit_switches_it_and_forgets_it(mosquitto: int, tmp_path: Path) -> None:
    program = home_assistant("run", str(mosquitto))
    clients = subscribe(mosquitto)
    heard: Subscriber = next(clients)
    commands: list[Command] = []
    told = {path.stem: path.read_text("utf-8") for path in EXAMPLES.glob("*.json")}
    try:
        eventually_for(120, lambda: heard.payloads("homeassistant/status")[-1:] == ["online"])
        with open_sink(f"mqtt://127.0.0.1:{mosquitto}", kit="kit-1", on_command=commands.append) as sink:
            memory = tmp_path / "announced.json"
            for name, payload in announcements(INFO, BOTH, memory, prefix="homeassistant", language="en"):
                sink.announce(name, payload, again_on="homeassistant/status")
            sink.retain("info", told["info"])
            sink.retain("state", told["state"])
            sink.retain("source/camera/status", "recovering")
            sink.retain("source/microphone/status", "disabled")
            tend_until(sink, lambda: heard.payloads("suasana/kit-1/source/microphone/status"))

            def shows(**expected: str) -> None:
                def asked() -> bool:
                    if len(heard.payloads("ask/states")) == len(heard.payloads("told/states")):
                        sink.tell("health", told["health"])
                        heard.client.publish("ask/states", "", qos=1).wait_for_publish(PATIENCE_S)
                    shown = json.loads((heard.payloads("told/states") or ["{}"])[-1])
                    return {
                        name: shown.get(name.replace("__", ".kelas_1a_")) for name in expected
                    } == expected

                tend_until(sink, asked)

            shows(
                sensor__mood="happy",
                sensor__happy="62.0",
                sensor__uncertain="10.0",
                sensor__faces_in_view="16",
                sensor__confidence="78.0",
                sensor__kit_temperature="48.2",
                sensor__why_no_mood="unknown",
                binary_sensor__camera_problem="on",
                binary_sensor__microphone_problem="off",
                binary_sensor__power_or_heat="off",
                switch__camera="on",
                switch__microphone="off",
            )
            sink.retain("state", told["state.suppressed"])
            shows(sensor__mood="unknown", sensor__happy="unknown", sensor__why_no_mood="too_few_people")
            heard.client.publish("ask/off", "switch.kelas_1a_camera", qos=1)
            tend_until(sink, lambda: commands)
            assert (commands[0].leaf, commands[0].payload) == ("set/camera", b"off")
        with open_sink(f"mqtt://127.0.0.1:{mosquitto}", kit="kit-2") as sink:
            shows(sensor__mood="unavailable", switch__camera="unavailable")
            for name, payload in announcements(INFO, BOTH, memory, prefix="", language="en"):
                sink.announce(name, payload, again_on="homeassistant/status")
            shows(sensor__mood=None, switch__camera=None)  # type: ignore[arg-type]
    finally:
        program.terminate()
        program.communicate(timeout=PATIENCE_S)
        clients.close()


def eventually_for(seconds: float, holds: Callable[[], object]) -> None:
    for _ in range(int(seconds / PATIENCE_S)):
        try:
            eventually(holds)
        except AssertionError:
            continue
        return
    raise AssertionError("it never happened")
