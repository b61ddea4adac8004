"""What an admin asks of the real daemon over a real broker: settings, and models from signed packages."""

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.events import Info, from_json
from edge.tuning import FILE
from tests.conftest import Subscriber, eventually, running_mosquitto, subscribe
from tests.packages import KEY, package_of
from tests.test_reload import Daemon, rooms, running

PART = 24 * 1024
VERSION = "71.2.0"


@pytest.fixture
def subscriber(tmp_path: Path) -> Iterator[Subscriber]:
    with running_mosquitto(tmp_path) as port:
        for heard in subscribe(port):
            heard.port = port  # type: ignore[attr-defined]
            yield heard


def asker(subscriber: Subscriber) -> Callable[..., dict[str, Any]]:
    """Asks and waits for the answer with the same transaction."""
    count = iter(range(1000))

    def ask(verb: str, **table: Any) -> dict[str, Any]:
        ours = f"t{next(count)}"
        payload = json.dumps(table | {"transaction": ours})
        subscriber.client.publish(f"suasana/k1/request/{verb}", payload, qos=1)

        def answers() -> list[dict[str, Any]]:
            told = map(json.loads, subscriber.payloads(f"suasana/k1/response/{verb}"))
            return [answer for answer in told if answer.get("transaction") == ours]

        eventually(answers)
        return answers()[0]

    return ask


def online(subscriber: Subscriber) -> None:
    eventually(lambda: subscriber.payloads("suasana/k1/source/camera/status")[-1:] == ["online"])


def values(answer: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["value"] for one in answer["settings"]}


def test_settings_are_changed_kept_and_taken_back_after_a_crash(
    tmp_path: Path, subscriber: Subscriber
) -> None:
    ask = asker(subscriber)
    with running(tmp_path, subscriber.port) as daemon:  # type: ignore[attr-defined]
        online(subscriber)
        assert values(ask("settings"))["mood.min_people"] == "5"
        for name, text in (("mood.min_people", "1"), ("mqtt.url", "mqtt://elsewhere"), ("mode", "practice")):
            answer = ask("settings-change", changes={name: text})
            assert not answer["ok"]
            assert answer["why"]["id"] != answer["why"]["en"] == answer["error"]
        assert not (tmp_path / FILE).exists()
        answer = ask("settings-change", changes={"room": "Kelas 2B", "mood.min_people": "7"})
        assert (answer["ok"], answer["begins_anew"], answer["tuning"]["trial"]) == (True, True, True)
        assert (values(answer)["room"], values(answer)["mood.min_people"]) == ("Kelas 2B", "7")
        eventually(lambda: rooms(subscriber)[-1] == "Kelas 2B")
        assert daemon.process.poll() is None, "the same process under the same number"
        online(subscriber)
        again = ask("settings-change", changes={"room": "Kelas 2B"})
        assert (again["ok"], again["begins_anew"]) == (True, False)
        assert from_json(Info, subscriber.payloads("suasana/k1/info")[-1]).min_people == 7
        daemon.process.kill()  # in its first minute
        daemon.process.wait()
        next_one = daemon.again()
        eventually(lambda: rooms(subscriber)[-1] == "Kelas 1A")
        told = ask("settings")
        assert told["tuning"]["failed"] == {"room": "Kelas 2B", "mood.min_people": "7"}
        assert "menit pertama" in told["tuning"]["why"]["id"]
        assert values(told)["mood.min_people"] == "5"
        next_one.terminate()
        assert next_one.wait(30) == 0
        daemon.process = next_one


def send(ask: Callable[..., dict[str, Any]], data: bytes) -> dict[str, Any]:
    sha256 = hashlib.sha256(data).hexdigest()
    for at in range(0, len(data), PART):
        part = base64.b64encode(data[at : at + PART]).decode()
        answer = ask("model-part", sha256=sha256, size=len(data), at=at, data=part)
        if not answer["ok"]:
            break
        assert answer["have"] == min(len(data), at + PART)
    return answer


def test_a_model_comes_in_parts_is_refused_or_installed_and_rolled_back(
    tmp_path: Path, subscriber: Subscriber
) -> None:
    ask = asker(subscriber)
    port = subscriber.port  # type: ignore[attr-defined]
    daemon = Daemon(tmp_path, port)
    package = package_of(tmp_path, name="face-expression")
    try:
        online(subscriber)
        (before,) = ask("models")["models"]
        assert (before["name"], before["shipped"], before["back_to"]) == ("face-expression", True, None)
        assert before["card"].startswith("#")
        assert before["metrics"]["accuracy"] > 0.5
        refused = send(ask, package)
        assert "command line only" in refused["error"]
        daemon.settle(room="Kelas 1A", more=f'[updates]\nremote = true\ntrusted_keys = ["{KEY}"]')
        daemon.process.terminate()
        daemon.process.wait(30)
        (tmp_path / "incoming-cut-off.suasana").write_bytes(b"half of one")
        daemon.process = daemon.again()
        online(subscriber)
        assert not list(tmp_path.glob("incoming-*"))
        unsigned = send(ask, b"PK" + package[200:5000])
        assert unsigned["why"]["id"].startswith("bukan paket model yang ditandatangani")
        assert "not a signed model package" in unsigned["error"]
        altered = send(ask, package[:-1] + bytes([package[-1] ^ 1]))
        assert "altered" in altered["error"]
        late = ask("model-part", sha256="0" * 64, size=100, at=50, data="")
        assert "beginning is missing" in late["error"]
        answer = send(ask, package)
        assert (answer["ok"], answer["begins_anew"]) == (True, True)
        model = f"face-expression@{VERSION}"
        eventually(lambda: model in subscriber.payloads("suasana/k1/info")[-1])
        assert json.loads(subscriber.payloads("suasana/k1/info")[-1])["models"][0]["trial"]
        online(subscriber)
        (now,) = ask("models")["models"]
        assert (now["version"], now["shipped"], now["trial"]) == (VERSION, False, True)
        assert now["back_to"] == before["version"]
        assert ask("model-rollback", name="face-expression")["begins_anew"]
        eventually(lambda: f'@{before["version"]}"' in subscriber.payloads("suasana/k1/info")[-1])
        again = ask("model-rollback", name="face-expression")
        assert "nothing to roll back" in again["error"]
    finally:
        daemon.process.kill()
        daemon.process.wait()
    assert not list(tmp_path.glob("incoming-*"))
