"""How a kit introduces itself to Home Assistant: one retained message that describes all its entities.

Device-based discovery: https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload. Entities
read the kit's own topics; nothing is told twice.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from edge.events import Info, topic
from edge.state import durable
from edge.words import UNCERTAIN

logger = logging.getLogger(__name__)

Language = Literal["id", "en"]
Entity = dict[str, Any]

FRESH_WINDOWS, FRESH_LEAST_S = 4, 20
"""A mood older than so many windows no longer describes the room, as on the dashboard."""
HEALTH_FRESH_S = 120
THROTTLED = "{{ None if value_json.throttled is none else 'ON' if value_json.throttled else 'OFF' }}"

WORDS: Mapping[Language, Mapping[str, str]] = {
    "id": {
        "angry": "Marah",
        "disgust": "Jijik",
        "fear": "Takut",
        "happy": "Senang",
        "sad": "Sedih",
        "surprise": "Terkejut",
        "neutral": "Netral",
        "uncertain": "Tidak pasti",
        "mood": "Suasana",
        "suppressed": "Alasan tanpa suasana",
        "people": "Wajah terlihat",
        "faces": "wajah",
        "confidence": "Keyakinan",
        "temperature": "Suhu kit",
        "capture": "Kamera dan mikrofon",
        "camera": "Kamera",
        "microphone": "Mikrofon",
        "camera_problem": "Gangguan kamera",
        "microphone_problem": "Gangguan mikrofon",
        "throttled": "Daya atau panas",
    },
    "en": {
        "angry": "Angry",
        "disgust": "Disgust",
        "fear": "Fear",
        "happy": "Happy",
        "sad": "Sad",
        "surprise": "Surprise",
        "neutral": "Neutral",
        "uncertain": "Uncertain",
        "mood": "Mood",
        "suppressed": "Why no mood",
        "people": "Faces in view",
        "faces": "faces",
        "confidence": "Confidence",
        "temperature": "Kit temperature",
        "capture": "Camera and microphone",
        "camera": "Camera",
        "microphone": "Microphone",
        "camera_problem": "Camera problem",
        "microphone_problem": "Microphone problem",
        "throttled": "Power or heat",
    },
}


def birth_topic(prefix: str) -> str:
    """Where Home Assistant says ``online`` when it has started."""
    return f"{prefix}/status"


def config_topic(prefix: str, kit: str) -> str:
    """Where a kit introduces itself."""
    return f"{prefix}/device/{kit}/config"


def announcements(
    info: Info, sources: Collection[str], memory: Path, *, prefix: str, language: Language
) -> Iterator[tuple[str, str]]:
    """Topic and payload of what to retain: this kit's introduction, or an empty payload that takes one back.

    Args:
        info: who the kit is.
        sources: what it has of ``camera`` and ``microphone``.
        memory: a file that keeps under which prefixes this kit was introduced, so that it can be taken back.
        prefix: Home Assistant's discovery prefix; empty introduces nothing.
        language: of the entities' names.
    """
    known = _remember(memory, prefix)
    for old in sorted(known - {prefix}):
        yield config_topic(old, info.kit), ""
    if prefix:
        table = introduce(info, sources, language)
        yield config_topic(prefix, info.kit), json.dumps(table, ensure_ascii=False, separators=(",", ":"))


def introduce(info: Info, sources: Collection[str], language: Language) -> Entity:
    """The device and its entities, as Home Assistant's discovery wants them."""
    words = WORDS[language]
    entities = {**_moods(info, words), **_kit(info)}
    for source in sorted(sources):
        entities |= _source(info, source)
    for name, entity in entities.items():
        entity |= {"name": words[name.removeprefix("share_")], "unique_id": f"suasana-{info.kit}-{name}"}
    name, _, version = info.software.partition(" ")
    return {
        "device": {
            "identifiers": [f"suasana-{info.kit}"],
            "name": info.room,
            "manufacturer": "Suasana",
            "model": "Suasana kit",
            "serial_number": info.kit,
            "sw_version": info.software,
        },
        "origin": {"name": name, "sw_version": version or info.software},
        "availability": [
            {
                "topic": topic(info.kit, "availability"),
                # `stopped` is neither of the two words that Home Assistant knows.
                "value_template": "{{ 'online' if value == 'online' else 'offline' }}",
            }
        ],
        "qos": 1,
        "components": entities,
    }


def _moods(info: Info, words: Mapping[str, str]) -> dict[str, Entity]:
    shown = (*info.labels, UNCERTAIN)
    state = {
        "platform": "sensor",
        "state_topic": topic(info.kit, "state"),
        "expire_after": max(FRESH_LEAST_S, round(FRESH_WINDOWS * info.window_s)),
    }
    told = state | {"state_class": "measurement"}
    entities: dict[str, Entity] = {
        "mood": state
        | {
            "value_template": "{{ value_json.mood }}",
            "device_class": "enum",
            "options": list(shown),
            "icon": "mdi:emoticon-outline",
        },
        "people": told
        | {
            "value_template": "{{ value_json.people }}",
            "unit_of_measurement": words["faces"],
            "icon": "mdi:account-group",
        },
        "confidence": told | _per_cent("value_json.confidence", "value_json.mood", "mdi:gauge"),
        "suppressed": {
            "platform": "sensor",
            "state_topic": topic(info.kit, "state"),
            "value_template": "{{ value_json.suppressed }}",
            "device_class": "enum",
            "options": ["too_few_people", "nobody", "capture_off"],
            "entity_category": "diagnostic",
        },
    }
    for label in shown:
        entities[f"share_{label}"] = told | _per_cent(
            f"value_json.shares.{label}", "value_json.shares", "mdi:chart-donut"
        )
    return entities


def _per_cent(value: str, present: str, icon: str) -> Entity:
    """A part of 1 as per cent; ``None`` is Home Assistant's word for unknown."""
    return {
        "value_template": f"{{{{ ({value} * 100) | round(1) if {present} else None }}}}",
        "unit_of_measurement": "%",
        "suggested_display_precision": 0,
        "icon": icon,
    }


def _kit(info: Info) -> dict[str, Entity]:
    health = {
        "state_topic": topic(info.kit, "health"),
        "expire_after": HEALTH_FRESH_S,
        "entity_category": "diagnostic",
    }
    return {
        "temperature": health
        | {
            "platform": "sensor",
            "value_template": "{{ value_json.temperature_c }}",
            "device_class": "temperature",
            "unit_of_measurement": "°C",
            "state_class": "measurement",
        },
        "throttled": health
        | {
            "platform": "binary_sensor",
            "device_class": "problem",
            "value_template": THROTTLED,
        },
        "capture": _switch(info, "capture", "mdi:eye"),
    }


def _source(info: Info, source: str) -> dict[str, Entity]:
    return {
        source: _switch(info, source, f"mdi:{'camera' if source == 'camera' else 'microphone'}"),
        f"{source}_problem": {
            "platform": "binary_sensor",
            "state_topic": topic(info.kit, "source", source, "status"),
            "value_template": "{{ 'ON' if value in ('recovering', 'offline') else 'OFF' }}",
            "device_class": "problem",
            "entity_category": "diagnostic",
        },
    }


def _switch(info: Info, name: str, icon: str) -> Entity:
    return {
        "platform": "switch",
        "state_topic": topic(info.kit, "info"),
        "value_template": f"{{{{ value_json.capture.{name} }}}}",
        "command_topic": topic(info.kit, "set", name),
        "payload_on": "on",
        "payload_off": "off",
        "retain": False,
        "icon": icon,
    }


def _remember(memory: Path, prefix: str) -> set[str]:
    """The prefixes that this kit was ever introduced under, *prefix* among them from now on."""
    known: set[str] = set()
    try:
        known = {str(item) for item in json.loads(memory.read_text("utf-8"))}
    except FileNotFoundError:
        pass
    except (OSError, ValueError, TypeError) as error:
        logger.warning("homeassistant: %s is not readable (%s)", memory, error)
    if prefix and prefix not in known:
        try:
            durable.replace(memory, json.dumps(sorted({*known, prefix})).encode())
        except OSError as error:
            logger.warning("homeassistant: what was announced cannot be remembered: %s", error)
    return known
