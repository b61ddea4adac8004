"""The whole kit, with real models, a staged class, a real broker and an independent client."""

import json
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge import daemon
from edge.events import Event, Health, Info, MoodWindow, Session, State, from_json
from edge.kit import Kit
from edge.models import weights
from edge.models.choice import find_model
from edge.settings import Camera, Classifier, Faces, Microphone, Mood, Mqtt, Settings
from edge.sources import as_camera_uri, as_microphone_uri
from edge.types import EdgeError, ModelError, SettingsError
from tests.conftest import Subscriber, eventually

STAGED = f"scene:{weights.FOLDER}"


def settings(tmp_path: Path, broker: int = 1, **changes: object) -> Settings:
    base = Settings(
        kit="k1",
        mode="class",
        state_dir=str(tmp_path),
        camera=Camera(STAGED),
        microphone=Microphone("none"),
        mood=Mood(window_s=1.0, min_people=2),
        mqtt=Mqtt(f"mqtt://127.0.0.1:{broker}", protocol="3.1.1"),
    )
    return replace(base, **changes)  # type: ignore[arg-type]


class Running:
    """A daemon in a thread; leaving the block stops it and raises what it raised."""

    def __init__(self, wanted: Settings) -> None:
        self.stop = threading.Event()
        self.kit = Kit(wanted, stop=self.stop)
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            daemon.run(self.kit, [self.kit.open_mqtt()], self.stop)
        except BaseException as error:  # noqa: BLE001 -- handed to the test
            self.error = error

    def __enter__(self) -> "Running":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join(30)
        assert not self.thread.is_alive()
        if self.error:
            raise self.error


def events(subscriber: Subscriber) -> list[Event]:
    return [Event.from_json(payload) for payload in subscriber.payloads("suasana/k1/event")]


def moods(subscriber: Subscriber) -> list[MoodWindow]:
    return [event.data for event in events(subscriber) if isinstance(event.data, MoodWindow)]


def test_a_staged_class_has_a_mood_that_an_independent_client_can_read(
    tmp_path: Path, broker: int, subscriber: Subscriber
) -> None:
    with Running(settings(tmp_path, broker)):
        eventually(lambda: len(moods(subscriber)) >= 3)
        eventually(lambda: subscriber.payloads("suasana/k1/health"))
    info = from_json(Info, subscriber.payloads("suasana/k1/info")[-1])
    assert info.replay
    assert [model.task for model in info.models] == ["expression"]
    assert info.absent == ("microphone",)
    from_json(Health, subscriber.payloads("suasana/k1/health")[-1])
    state = from_json(State, subscriber.payloads("suasana/k1/state")[-1])
    window = moods(subscriber)[-1]
    assert window.suppressed is None
    assert window.people >= 6, "eight sit in the staged class"
    assert window.mood == state.mood
    told = events(subscriber)
    assert [event.seq for event in told] == list(range(len(told)))
    assert isinstance(told[0].data, Session)
    assert told[0].data.phase == "start"
    assert isinstance(told[-1].data, Session)
    assert told[-1].data.phase == "end"
    eventually(lambda: subscriber.payloads("suasana/k1/availability") == ["online", "stopped"])
    assert subscriber.payloads("suasana/k1/source/camera/status")[-1] == "offline"


def test_capture_is_switched_off_and_on_over_mqtt_and_remembered(
    tmp_path: Path, broker: int, subscriber: Subscriber
) -> None:
    status = "suasana/k1/source/camera/status"
    with Running(settings(tmp_path, broker)):
        eventually(lambda: subscriber.payloads(status)[-1:] == ["online"])
        subscriber.client.publish("suasana/k1/set/capture", "off", qos=1)
        eventually(lambda: subscriber.payloads(status)[-1:] == ["disabled"])
        eventually(lambda: '"suppressed":"capture_off"' in subscriber.payloads("suasana/k1/state")[-1])
    assert from_json(Info, subscriber.payloads("suasana/k1/info")[-1]).capture.capture == "off"
    with Running(settings(tmp_path, broker)):
        eventually(lambda: subscriber.payloads("suasana/k1/availability").count("online") == 2)
        assert from_json(Info, subscriber.payloads("suasana/k1/info")[-1]).capture.capture == "off"
        before = subscriber.payloads(status).count("online")
        subscriber.client.publish("suasana/k1/set/capture", "on", qos=1)
        eventually(lambda: subscriber.payloads(status).count("online") == before + 1)
    reasons = [event.data.reason for event in events(subscriber) if isinstance(event.data, Session)]
    assert reasons == ["boot", "switch", "switch", "shutdown"]


def test_a_retained_command_is_answered_and_not_obeyed(
    tmp_path: Path, broker: int, subscriber: Subscriber
) -> None:
    wanted = settings(tmp_path, broker, camera=Camera("pattern:"))
    topic, answers = "suasana/k1/set/capture", "suasana/k1/response/set"
    with Running(wanted):
        eventually(lambda: subscriber.payloads("suasana/k1/availability"))
        subscriber.client.publish(topic, "off", qos=1)
        eventually(lambda: subscriber.payloads(answers))
    first = json.loads(subscriber.payloads(answers)[0])
    assert first["ok"]
    assert first["remembered"]
    assert first["capture"]["capture"] == "off"
    subscriber.client.publish(topic, "on", qos=1, retain=True).wait_for_publish(30)
    with Running(wanted) as running:
        eventually(lambda: len(subscriber.payloads(answers)) == 2)
        assert running.kit.switches.now.capture == "off"
    assert "retained" in json.loads(subscriber.payloads(answers)[1])["error"]
    subscriber.client.publish(topic, b"", qos=1, retain=True).wait_for_publish(30)


def test_requests_are_answered_and_nonsense_gets_an_error(
    tmp_path: Path, broker: int, subscriber: Subscriber
) -> None:
    wanted = settings(tmp_path, broker, camera=Camera("pattern:"))
    asked = {"ping": '{"transaction":"a"}', "info": "{}", "dance": '{"transaction":"b"}', "health": "[torn"}
    with Running(wanted):
        eventually(lambda: subscriber.payloads("suasana/k1/availability"))
        for verb, payload in asked.items():
            subscriber.client.publish(f"suasana/k1/request/{verb}", payload, qos=1)
        subscriber.client.publish("suasana/k1/set/camera", "\0maybe", qos=1)
        subscriber.client.publish("suasana/k1/set/everything", "off", qos=1)
        eventually(lambda: len(subscriber.payloads("suasana/k1/response/set")) == 2)
        answers = {verb: json.loads(subscriber.payloads(f"suasana/k1/response/{verb}")[0]) for verb in asked}
    assert answers["ping"] == {"transaction": "a", "ok": True}
    assert answers["info"]["info"]["kit"] == "k1"
    assert answers["dance"]["transaction"] == "b"
    assert "dance" in answers["dance"]["error"]
    assert "JSON" in answers["health"]["error"]


def test_a_command_is_obeyed_at_once_and_not_with_the_next_tick(
    tmp_path: Path, broker: int, subscriber: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Running(settings(tmp_path, broker, mode="practice")) as running:
        eventually(lambda: subscriber.payloads("suasana/k1/info"))
        monkeypatch.setattr(daemon, "TICK_S", 100.0)
        for number in range(1, 4):  # at most the first comes before the main thread waits so long
            subscriber.client.publish("suasana/k1/request/ping", "{}", qos=1)
            eventually(lambda number=number: len(subscriber.payloads("suasana/k1/response/ping")) == number)  # type: ignore[misc]
        running.stop.set()
        running.kit.observations.wake()


def test_the_daemon_ends_when_its_recording_does(tmp_path: Path, broker: int, subscriber: Subscriber) -> None:
    wanted = settings(tmp_path, broker, camera=Camera("pattern:?frames=5&speed=0"))
    with Running(wanted) as running:
        eventually(lambda: not running.thread.is_alive())
    assert [window.suppressed for window in moods(subscriber)] in ([], ["nobody"])


def test_a_source_that_fails_recovers_while_the_other_goes_on(
    tmp_path: Path, broker: int, subscriber: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("random.random", lambda: 0.01)  # short waits between the attempts
    sound = tmp_path / "late.wav"
    status = "suasana/k1/source/microphone/status"
    with Running(settings(tmp_path, broker, microphone=Microphone(f"replay:{sound}?loop=1"))):
        eventually(lambda: moods(subscriber))
        assert subscriber.payloads(status)[-1] == "recovering"
        draft = tmp_path / "draft.wav"
        soundfile.write(draft, np.zeros(16_000, np.float32), 16_000)
        draft.replace(sound)
        eventually(lambda: subscriber.payloads(status)[-1] == "online")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"camera": Camera("none")}, "none"),
        ({"expression": Classifier(model="no-such-model")}, "no-such-model"),
        ({"expression": Classifier(model="voice-tone")}, "tone"),
        ({"faces": Faces(detector="yunet")}, "faces.yunet"),
        ({"faces": Faces(detector="yunet", yunet=__file__)}, "altered or torn"),
    ],
)
def test_what_cannot_work_is_told_before_anything_starts(tmp_path: Path, changes, named: str) -> None:
    with pytest.raises(EdgeError, match=named):
        Kit(settings(tmp_path, **changes), stop=threading.Event())


@pytest.mark.parametrize(
    ("mqtt", "named"),
    [
        (Mqtt("http://x"), "mqtt.url"),
        (Mqtt(password_file="/no/such/file"), "mqtt.password_file"),
        (Mqtt("mqtts://x", ca_file="/no/such/file"), "mqtt.ca_file"),
        (Mqtt("mqtts://x", ca_file=__file__), "mqtt.ca_file"),
    ],
)
def test_a_broker_that_cannot_be_is_told(tmp_path: Path, mqtt: Mqtt, named: str) -> None:
    kit = Kit(settings(tmp_path, mqtt=mqtt), stop=threading.Event())
    with pytest.raises(SettingsError, match=named):
        kit.open_mqtt()


def test_an_altered_model_is_refused(tmp_path: Path) -> None:
    model = find_model(Classifier(model="face-expression"))
    folder = tmp_path / "altered"
    folder.mkdir()
    for file in [model.folder / "model.toml", *(file.path for file in model.files.values())]:
        (folder / file.name).write_bytes(file.read_bytes())
    weights_file = folder / model.files["tflite"].path.name
    weights_file.write_bytes(weights_file.read_bytes()[:-1] + b"\0\0")
    with pytest.raises(ModelError, match="altered or torn"):
        find_model(Classifier(model=str(folder)))


def test_what_people_type_becomes_a_uri(tmp_path: Path) -> None:
    clip = tmp_path / "a b.mp4"
    clip.touch()
    assert as_camera_uri("0") == "opencv:0"
    assert as_camera_uri("/dev/video2") == "opencv:/dev/video2"
    assert as_camera_uri(str(clip)).startswith("replay:")
    assert as_camera_uri("picamera2:0") == "picamera2:0"
    assert as_microphone_uri("default") == "pyaudio:default"
    assert as_microphone_uri("none") == "none"
