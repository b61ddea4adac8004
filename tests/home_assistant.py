"""Runs under Home Assistant's own Python: ``home_assistant.py schemas``, ``check PAYLOAD`` or ``run PORT``.

It imports nothing of Suasana, and reads from standard input, so that it can be piped into any environment.
"""

import asyncio
import json
import sys
import tempfile
from importlib import import_module
from pathlib import Path

PLATFORMS = ("sensor", "binary_sensor", "switch")

CONFIGURATION = """
automation:
  - alias: tell states
    mode: queued
    max: 100
    triggers: [{trigger: mqtt, topic: ask/states}]
    actions:
      - action: mqtt.publish
        data:
          topic: told/states
          payload: >-
            {% set found = namespace(all={}) %}
            {% for s in states if s.domain in ('sensor', 'binary_sensor', 'switch') %}
            {% set found.all = dict(found.all, **{s.entity_id: s.state}) %}
            {% endfor %}{{ found.all | tojson }}
  - alias: switch off
    triggers: [{trigger: mqtt, topic: ask/off}]
    actions: [{action: switch.turn_off, target: {entity_id: "{{ trigger.payload }}"}}]
"""


def schemas() -> None:
    """Which keys and words each platform knows, as JSON."""
    from homeassistant.components.binary_sensor import BinarySensorDeviceClass
    from homeassistant.components.sensor import DEVICE_CLASS_STATE_CLASSES, SensorDeviceClass
    from homeassistant.const import __version__

    found = {"version": __version__, "platforms": {}, "sensor": {}, "binary_sensor": {}}
    for name in PLATFORMS:
        schema = import_module(f"homeassistant.components.mqtt.{name}").DISCOVERY_SCHEMA
        while not isinstance(getattr(schema, "schema", None), dict):
            schema = schema.validators[0]  # vol.All: the keys come first
        keys = {str(key): type(key).__name__ == "Required" for key in schema.schema}
        found["platforms"][name] = dict(sorted(keys.items()))
    found["sensor"] = {
        str(kind.value): sorted(str(c.value) for c in DEVICE_CLASS_STATE_CLASSES.get(kind, set()))
        for kind in SensorDeviceClass
    }
    found["binary_sensor"] = sorted(str(kind.value) for kind in BinarySensorDeviceClass)
    print(json.dumps(found, indent=1))


def check() -> None:
    """Judge the discovery payload that the second argument is; say what Home Assistant would not know."""
    asyncio.run(_check(json.loads(sys.argv[2])))


async def _check(payload: dict) -> None:
    from homeassistant.components.mqtt.schemas import DEVICE_DISCOVERY_SCHEMA
    from homeassistant.core import HomeAssistant

    HomeAssistant(tempfile.mkdtemp(prefix="home-assistant-"))  # templates are only judged inside one
    DEVICE_DISCOVERY_SCHEMA(payload)
    for name, entity in payload["components"].items():
        schema = import_module(f"homeassistant.components.mqtt.{entity['platform']}").DISCOVERY_SCHEMA
        known = schema(entity | {"device": payload["device"], "availability": payload["availability"]})
        unknown = set(entity) - set(known) - {"platform"}
        if unknown:
            raise SystemExit(f"{name}: Home Assistant does not know {', '.join(sorted(unknown))}")
    print(len(payload["components"]))


def run() -> None:
    """Home Assistant itself, at the broker on this port of this machine, until killed."""
    from homeassistant.__main__ import main

    folder = Path(tempfile.mkdtemp(prefix="home-assistant-"))
    (folder / "configuration.yaml").write_text(CONFIGURATION)
    (folder / ".storage").mkdir()
    entry = {
        "created_at": "2026-01-01T00:00:00+00:00",
        "data": {"broker": "127.0.0.1", "port": int(sys.argv[2])},
        "disabled_by": None,
        "discovery_keys": {},
        "domain": "mqtt",
        "entry_id": "0123456789abcdef0123456789abcdef",
        "minor_version": 2,
        "modified_at": "2026-01-01T00:00:00+00:00",
        "options": {},
        "pref_disable_new_entities": False,
        "pref_disable_polling": False,
        "source": "user",
        "subentries": [],
        "title": "broker",
        "unique_id": None,
        "version": 1,
    }
    entries = {"version": 1, "minor_version": 5, "key": "core.config_entries", "data": {"entries": [entry]}}
    (folder / ".storage" / "core.config_entries").write_text(json.dumps(entries))
    sys.argv = ["hass", "-c", str(folder), "--skip-pip"]
    sys.exit(main())


if __name__ == "__main__":
    {"schemas": schemas, "check": check, "run": run}[sys.argv[1]]()
