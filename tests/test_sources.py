"""One contract for every camera and microphone, then what is particular to each."""

import concurrent.futures
import os
import subprocess
import sys
import threading
import time
from types import SimpleNamespace
from typing import ClassVar

import cv2
import numpy as np
import pytest
import soundfile

from edge.sources import (
    BLOCK_SAMPLES,
    Device,
    Pace,
    closest,
    conform,
    hush_opencv,
    open_camera,
    open_microphone,
    replay_uri,
)
from edge.sources import faulty as faulty_source
from edge.sources import opencv as opencv_source
from edge.sources import picamera2 as picamera2_source
from edge.sources import pyaudio as pyaudio_source
from edge.sources import replay as replay_source
from edge.types import RATE_HZ, SourceError, StuckError
from tests.conftest import ROOT, eventually


@pytest.fixture(scope="session")
def media(tmp_path_factory):
    """A folder with a video, pictures, sound, and the portraits' names with noise in them."""
    folder = tmp_path_factory.mktemp("media")
    rng = np.random.default_rng(0)
    os.environ["OPENCV_FFMPEG_LOGLEVEL"] = "-8"  # the writer below comes before edge.sources can set it
    for name, codec in (("video.mp4", "mp4v"), ("video.avi", "MJPG")):
        writer = cv2.VideoWriter(str(folder / name), cv2.VideoWriter_fourcc(*codec), 10, (64, 48))
        for level in range(12):
            writer.write(rng.integers(0, 20, (48, 64, 3), np.uint8) + np.uint8(level * 20))
        writer.release()
    pictures = folder / "pictures"
    pictures.mkdir()
    for number in range(3):
        cv2.imwrite(str(pictures / f"{number}.png"), np.full((40, 60, 3), number * 80, np.uint8))
    (pictures / "notes.txt").write_text("not a picture")
    portraits = folder / "portraits"
    portraits.mkdir()
    for name in ("astronaut.png", "grace_hopper.jpg"):
        cv2.imwrite(str(portraits / name), rng.integers(0, 255, (600, 512, 3), np.uint8))
    clock = np.arange(44_100) / 44_100
    tone = 0.5 * np.sin(2 * np.pi * 440 * clock)
    for suffix in ("wav", "flac", "ogg"):
        soundfile.write(folder / f"tone.{suffix}", np.stack([tone, tone], axis=1), 44_100)
    return folder


# -- fakes, as strict as the hardware --------------------------------------------------------------------


class FakeCapture:
    """cv2.VideoCapture of a USB camera that gives 30 frames and is then pulled out, or hangs."""

    frames = 30
    hangs = False
    released = 0

    def __init__(self, device, api):
        assert api == (cv2.CAP_V4L2 if sys.platform == "linux" else cv2.CAP_ANY)
        self._open = device in (0, "/dev/null")
        self._size = [640, 480]
        self._packed = False
        self._given = 0

    def isOpened(self):  # noqa: N802
        return self._open

    def set(self, key, value):
        assert self._open
        self._packed |= key == cv2.CAP_PROP_FOURCC
        if key in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT):
            # As on USB 2: unpacked pictures are no larger than this, so the format has to be set first.
            self._size[key == cv2.CAP_PROP_FRAME_HEIGHT] = (
                int(value) if self._packed else min(int(value), 640)
            )
        return True

    def read(self):
        assert self._open
        time.sleep(0.002)
        if self._given >= self.frames:
            if type(self).hangs:
                time.sleep(1)
            return False, None
        self._given += 1
        return True, np.full((self._size[1], self._size[0], 3), self._given, np.uint8)

    def release(self):
        self._open = False
        type(self).released += 1


class FakePicamera2:
    """Refuses to deliver before start and after close, and every format but RGB888."""

    fails_after = 30
    in_use = 0

    def __init__(self, number):
        if number != 0:
            raise IndexError("list index out of range")
        if type(self).in_use:
            raise RuntimeError("Camera __init__ sequence did not complete.")
        type(self).in_use += 1
        self._state, self._given, self._size = "open", 0, None

    def create_video_configuration(self, main, controls):
        assert main["format"] == "RGB888"
        assert controls["FrameRate"] > 0
        return {"main": main}

    def configure(self, configuration):
        assert self._state == "open"
        self._size = configuration["main"]["size"]

    def start(self):
        assert self._size
        self._state = "started"

    def capture_array(self, name, wait):
        assert (name, wait, self._state) == ("main", False, "started")
        return concurrent.futures.Future()

    def wait(self, job, timeout):
        assert timeout is not None, "waits for ever when the cable is loose"
        if self._given >= type(self).fails_after:
            return job.result(timeout=0.01)
        time.sleep(0.002)
        self._given += 1
        return np.full((self._size[1], self._size[0], 3), self._given, np.uint8)

    def stop(self):
        self._state = "open"

    def close(self):
        assert self._state == "open"
        type(self).in_use -= 1


class FakePyAudio:
    """PortAudio with three inputs and an output; the second input speaks 48 kHz only."""

    paFloat32, paContinue, paInputOverflow = 1, 0, 2  # noqa: N815
    names = ("ReSpeaker 4 Mic Array", "USB Microphone", "USB Microphone Pro")
    only_rate: ClassVar = {1: 48_000}
    unplug_after = 100_000
    overflow_at = 2
    alive = 0

    def __init__(self):
        type(self).alive += 1
        self.terminated = False

    def terminate(self):
        assert not self.terminated
        self.terminated = True
        type(self).alive -= 1

    def get_device_count(self):
        return 4

    def get_device_info_by_index(self, index):
        if not 0 <= index < 4:
            raise OSError(-9996, "Invalid device info")
        name = (*self.names, "HDMI")[index]
        return {
            "index": index,
            "name": name,
            "maxInputChannels": 0 if name == "HDMI" else 1,
            "defaultSampleRate": float(self.only_rate.get(index, 44_100)),
        }

    def get_default_input_device_info(self):
        return self.get_device_info_by_index(0)

    def open(self, *, format, channels, rate, input, input_device_index, frames_per_buffer, stream_callback):
        assert (format, channels, input) == (self.paFloat32, 1, True)
        if rate != self.only_rate.get(input_device_index, rate):
            raise OSError(-9997, "Invalid sample rate")
        return FakeStream(self, rate, frames_per_buffer, stream_callback)


class FakeStream:
    def __init__(self, audio, rate, size, callback):
        self._audio, self._rate, self._size, self._callback = audio, rate, size, callback
        self._active, self._closed = True, False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        for block in range(self._audio.unplug_after):
            if self._closed:
                return
            clock = (block * self._size + np.arange(self._size)) / self._rate
            data = np.sin(2 * np.pi * 440 * clock).astype(np.float32).tobytes()
            status = FakePyAudio.paInputOverflow if block == FakePyAudio.overflow_at else 0
            answer = self._callback(data, self._size, {}, status)
            assert answer == (None, FakePyAudio.paContinue)
            time.sleep(0.002)
        self._active = False

    def is_active(self):
        if self._closed:
            raise OSError(-9988, "Stream closed")
        return self._active

    def close(self):
        assert not self._closed
        self._closed = True
        self._thread.join()


@pytest.fixture
def hardware(monkeypatch):
    """All drivers replaced by fakes."""
    monkeypatch.setattr(opencv_source, "cv2", SimpleNamespace(**(vars(cv2) | {"VideoCapture": FakeCapture})))
    monkeypatch.setitem(sys.modules, "picamera2", SimpleNamespace(Picamera2=FakePicamera2))
    names = {name: getattr(FakePyAudio, name) for name in ("paFloat32", "paContinue", "paInputOverflow")}
    monkeypatch.setitem(sys.modules, "pyaudio", SimpleNamespace(PyAudio=FakePyAudio, **names))
    yield
    assert FakePyAudio.alive == 0
    assert FakePicamera2.in_use == 0


# -- the contract ----------------------------------------------------------------------------------------

CAMERAS = {
    "pattern": "pattern:?frames=12&speed=0&width=64&height=48",
    "replay video": "replay:{media}/video.mp4?speed=0",
    "replay avi": "replay:{media}/video.avi?speed=0",
    "replay folder": "replay:{media}/pictures?speed=0&fps=10",
    "replay picture": "replay:{media}/pictures/1.png?speed=0",
    "replay looped": "replay:{media}/pictures?speed=0&loop=1",
    "replay paced": "replay:{media}/video.mp4?speed=50",
    "scene": "scene:{media}/portraits?speed=0&frames=12",
    "player": "scene:{media}/portraits?speed=0&frames=12&player=1",
    "opencv": "opencv:0?width=64&height=48",
    "opencv by path": "opencv:/dev/null",
    "picamera2": "picamera2:0?width=64&height=64",
    "faulty": "faulty:freeze@1000,hang@2000-2001|pattern:?frames=12&speed=0&width=64&height=48",
}
MICROPHONES = {
    "pattern": "pattern:?frames=40&speed=0",
    "replay wav": "replay:{media}/tone.wav?speed=0",
    "replay flac": "replay:{media}/tone.flac?speed=0",
    "replay ogg": "replay:{media}/tone.ogg?speed=0",
    "replay looped": "replay:{media}/tone.wav?speed=0&loop=1",
    "pyaudio": "pyaudio:default",
    "pyaudio by name": "pyaudio:respeaker",
    "pyaudio that refuses 16 kHz": "pyaudio:usb microphone",
    "faulty": "faulty:silence@1000|pattern:?frames=40&speed=0",
}
SOURCES = [pytest.param(open_camera, uri, id=f"camera {name}") for name, uri in CAMERAS.items()]
SOURCES += [pytest.param(open_microphone, uri, id=f"microphone {name}") for name, uri in MICROPHONES.items()]


@pytest.mark.usefixtures("hardware")
@pytest.mark.parametrize(("open_source", "uri"), SOURCES)
def test_contract(open_source, uri, media):
    source = open_source(uri.format(media=media))
    items = []
    with source:
        for item in source:
            items.append(item)
            if len(items) == 10:
                break
    assert items
    assert [item.seq for item in items] == list(range(len(items)))
    ats = [item.at for item in items]
    assert ats == sorted(ats)
    assert len({item.source for item in items}) == 1
    for item in items:
        if open_source is open_camera:
            assert item.image.dtype == np.uint8
            assert item.image.ndim == 3
            assert item.image.shape[2] == 3
            item.image[...] = 0  # the receiver owns it
        else:
            assert item.samples.dtype == np.float32
            assert item.samples.shape == (BLOCK_SAMPLES,)
            assert item.rate_hz == RATE_HZ
            assert np.abs(item.samples).max() <= 1
            item.samples[...] = 0
    if "speed=0" in uri:
        assert ats[0] == 0


@pytest.mark.usefixtures("hardware")
@pytest.mark.parametrize(("open_source", "uri"), SOURCES)
def test_closing_twice_is_fine(open_source, uri, media):
    source = open_source(uri.format(media=media))
    with source:
        source.close()
        source.close()
    source.close()
    assert list(source) == []


@pytest.mark.usefixtures("hardware")
@pytest.mark.parametrize(
    ("open_source", "uri"),
    [
        (open_camera, "pattern:"),
        (open_camera, "pattern:?fps=0.1"),  # closed while it waits ten seconds for the second frame
        (open_camera, "scene:{media}/portraits"),
        (open_camera, "replay:{media}/video.mp4?loop=1"),
        (open_camera, "replay:{media}/pictures?fps=0.01"),
        (open_camera, "opencv:0"),
        (open_camera, "picamera2:0"),
        (open_camera, "faulty:freeze@1000|pattern:?fps=0.1"),
        (open_microphone, "pattern:"),
        (open_microphone, "replay:{media}/tone.wav?loop=1"),
        (open_microphone, "pyaudio:default"),
    ],
)
def test_closing_from_another_thread_ends_the_iteration(open_source, uri, media):
    with open_source(uri.format(media=media)) as source:
        iterator = iter(source)
        next(iterator)
        threading.Timer(0.02, source.close).start()
        for _ in iterator:
            pass


def test_recordings_are_the_same_every_time(media):
    for uri in (f"replay:{media}/video.mp4?speed=0", f"scene:{media}/portraits?speed=0&frames=5"):
        passes = []
        for _ in range(2):
            with open_camera(uri) as camera:
                passes.append([(frame.seq, frame.at, frame.image.tobytes()) for frame in camera])
        assert passes[0] == passes[1]


# -- URIs ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("webcam:0", "'webcam:0' is no camera: use opencv:, picamera2:, replay:, scene:, pattern:, faulty:"),
        ("0", "'0' is no camera"),
        ("opencv:0?widht=3", "unknown key 'widht' (known: width, height, fps)"),
        ("opencv:0?width=wide", "width must be 16 to 4096, not 'wide'"),
        ("opencv:0?width=64.5", "width must be a whole number"),
        ("opencv:0?fps=nan", "fps must be 1 to 240, not 'nan'"),
        ("opencv:0?width=64&width=65", "a key stands there twice"),
        ("opencv:0?width", "key=value&key=value"),
        ("opencv:front", "name a number or a path"),
        ("opencv:", "name a number or a path"),
        ("picamera2:", "name the camera's number"),
        ("replay:", "name a file"),
        ("replay:x.mp4?loop=yes", "loop must be 0 or 1, not 'yes'"),
        ("scene:", "name the folder"),
        ("pattern:stripes", "a pattern has no name"),
        ("faulty:freeze@1", "write faulty:FAULT@FROM-TO,...|URI"),
        ("faulty:melt@1|pattern:", "with faults of absent, unplug, hang, block, freeze, black, dark, cover"),
        ("faulty:silence@1|pattern:", "write faulty:"),
        ("faulty:freeze@soon|pattern:", "write faulty:"),
        ("faulty:freeze@1|pattern:?speeed=0", "unknown key 'speeed'"),
        ("faulty:freeze@1|webcam:", "'webcam:' is no camera"),
    ],
)
def test_wrong_camera_uris(uri, says):
    with pytest.raises(SourceError) as raised:
        open_camera(uri)
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


def test_wrong_microphone_uris():
    with pytest.raises(SourceError, match="no microphone: use pyaudio:, replay:, pattern:, faulty:"):
        open_microphone("opencv:0")
    with pytest.raises(SourceError, match="name a microphone"):
        open_microphone("pyaudio:")
    with pytest.raises(SourceError, match=r"unknown key 'rate' \(it takes none\)"):
        open_microphone("pyaudio:default?rate=8000")


def test_file_names_with_any_character(tmp_path):
    path = tmp_path / "a lesson? 100% #1 & more.png"
    cv2.imwrite(str(path), np.zeros((20, 20, 3), np.uint8))
    with open_camera(replay_uri(str(path), speed=0)) as camera:
        assert len(list(camera)) == 1


# -- recordings ------------------------------------------------------------------------------------------


def test_video_times_and_loops(media):
    with open_camera(f"replay:{media}/video.mp4?speed=0") as camera:
        frames = list(camera)
    assert [frame.at for frame in frames] == pytest.approx([number / 10 for number in range(12)])
    with open_camera(f"replay:{media}/video.mp4?speed=0&loop=1") as camera:
        looped = [frame for frame, _ in zip(camera, range(30), strict=False)]
    assert [frame.at for frame in looped] == pytest.approx([number / 10 for number in range(30)])
    assert np.array_equal(looped[0].image, looped[12].image)
    assert not np.array_equal(looped[0].image, looped[11].image)


@pytest.mark.parametrize("fps", [0.0, -1.0, float("nan"), 1e9, 30.0])
def test_a_video_whose_header_lies_still_has_rising_times(fps):
    clock = replay_source._MediaClock(fps)
    told = [7.0, 7.04, 7.04, 3.0, float("nan"), float("inf"), 1e12, 1e12 + 0.04, 1e12]
    times = [clock.read(each) for each in told]
    assert times[0] == 0
    assert times[1] == pytest.approx(0.04)
    steps = np.diff(times)
    assert (steps > 0).all()
    assert (steps <= replay_source.LONGEST_STILL_S).all()


def test_pictures_come_in_order_one_a_second(media):
    with open_camera(f"replay:{media}/pictures?speed=0") as camera:
        frames = list(camera)
    assert [(frame.at, int(frame.image[0, 0, 0])) for frame in frames] == [(0, 0), (1, 80), (2, 160)]


def test_large_pictures_are_shrunk(tmp_path):
    cv2.imwrite(str(tmp_path / "large.jpg"), np.zeros((1500, 3840, 3), np.uint8))
    with open_camera(f"replay:{tmp_path}/large.jpg?speed=0") as camera:
        assert next(iter(camera)).image.shape == (750, 1920, 3)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg"])
def test_sound_is_mixed_and_resampled(media, suffix):
    with open_microphone(f"replay:{media}/tone.{suffix}?speed=0") as microphone:
        blocks = list(microphone)
    samples = np.concatenate([block.samples for block in blocks])
    assert 16_000 <= len(samples) < 16_000 + BLOCK_SAMPLES
    middle = samples[4000:12_000]
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(4000, 12_000) / RATE_HZ)
    # ogg is lossy; what matters is that pitch, phase and loudness are right.
    assert np.abs(middle - expected).max() < (0.05 if suffix == "ogg" else 2e-3)


def test_resampling_does_not_fold_high_tones_into_speech():
    clock = np.arange(48_000) / 48_000
    high = np.sin(2 * np.pi * 11_000 * clock).astype(np.float32)
    pieces = [high[start : start + 1000] for start in range(0, len(high), 1000)]
    samples = np.concatenate(list(conform(pieces, 48_000, name="test")))
    assert np.abs(samples[2000:14_000]).max() < 1e-3


def test_values_out_of_range_do_not_get_through(tmp_path):
    soundfile.write(
        tmp_path / "wild.wav", np.array([np.nan, np.inf, -5, 0.5] * 512), RATE_HZ, subtype="FLOAT"
    )
    with open_microphone(f"replay:{tmp_path}/wild.wav?speed=0") as microphone:
        samples = np.concatenate([block.samples for block in microphone])
    assert np.isfinite(samples).all()
    assert np.abs(samples).max() == 1


def torn(data):
    return data[: len(data) // 2]


@pytest.mark.parametrize(
    "case",
    [
        (open_camera, "missing.mp4", None, "No such file or directory"),
        (open_camera, "empty.mp4", lambda _: b"", "the file is empty"),
        (open_camera, "text.mp4", lambda _: b"hello", "no picture can be decoded"),
        (open_camera, "text.png", lambda _: b"hello", "no picture can be decoded"),
        (open_camera, "torn.mp4", lambda media: torn((media / "video.mp4").read_bytes()), "can be decoded"),
        (
            open_camera,
            "torn.png",
            lambda media: torn((media / "pictures/1.png").read_bytes()),
            "can be decoded",
        ),
        (open_camera, "sound.mp4", lambda media: (media / "tone.wav").read_bytes(), "can be decoded"),
        (open_microphone, "missing.wav", None, "No such file or directory"),
        (open_microphone, "empty.wav", lambda _: b"", "the file is empty"),
        (open_microphone, "text.wav", lambda _: b"hello", "has no sound that can be read"),
        (open_microphone, "film.mp4", lambda media: (media / "video.mp4").read_bytes(), "has no sound"),
        (open_microphone, "header.wav", lambda media: (media / "tone.wav").read_bytes()[:44], "no sound"),
    ],
)
def test_files_that_cannot_be_replayed(case, media, tmp_path, capfd):
    open_source, name, make, says = case
    path = tmp_path / name
    if make:
        path.write_bytes(make(media))
    with pytest.raises(SourceError) as raised, open_source(f"replay:{path}"):
        pass
    assert str(raised.value).startswith(str(path))
    assert says in str(raised.value)
    assert capfd.readouterr().err == "", "one line is told, by the error; no library adds its own"


def test_folders_and_pipes_are_no_files(tmp_path):
    with pytest.raises(SourceError, match="no pictures in this folder"), open_camera(f"replay:{tmp_path}"):
        pass
    with pytest.raises(SourceError, match="not a file"), open_microphone(f"replay:{tmp_path}"):
        pass
    with pytest.raises(SourceError, match="not a file"), open_camera("replay:/dev/null"):
        pass


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_torn_sound_is_delivered_as_far_as_it_goes(media, tmp_path, suffix):
    path = tmp_path / f"torn.{suffix}"
    path.write_bytes(torn((media / f"tone.{suffix}").read_bytes()))
    with open_microphone(f"replay:{path}?speed=0") as microphone:
        blocks = list(microphone)
    assert 8 <= len(blocks) <= 24  # the whole has 32
    assert np.abs(blocks[4].samples).max() > 0.4


def test_torn_video_is_delivered_as_far_as_it_goes(media, tmp_path):
    path = tmp_path / "torn.avi"
    whole = (media / "video.avi").read_bytes()
    path.write_bytes(whole[: len(whole) * 8 // 10])
    with open_camera(f"replay:{path}?speed=0") as camera:
        frames = list(camera)
    assert 1 <= len(frames) < 12


def test_torn_pictures_in_a_folder_are_left_out(media, tmp_path):
    good = (media / "pictures/1.png").read_bytes()
    (tmp_path / "1.png").write_bytes(torn(good))
    (tmp_path / "2.png").write_bytes(good)
    with open_camera(f"replay:{tmp_path}?speed=0") as camera:
        assert [frame.at for frame in camera] == [0]


def test_pace_waits_and_slows_down_when_late(monkeypatch):
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    pace = Pace(2.0)
    assert pace.wait(0) == 100
    clock.now = 100.4
    assert pace.wait(0.2) == pytest.approx(100.1)  # a little late: stamped when it was due
    clock.now = 105
    assert pace.wait(0.4) == 105  # far behind: the recording continues from now
    assert pace.wait(0.4) == 105
    pace.close()
    assert pace.wait(99) is None


# -- hardware --------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("hardware")
def test_usb_camera_that_is_pulled_out(monkeypatch):
    monkeypatch.setattr(FakeCapture, "frames", 5)
    before = FakeCapture.released
    with (
        pytest.raises(SourceError, match="opencv:0: the camera stopped delivering"),
        open_camera("opencv:0") as camera,
    ):
        for _ in camera:
            pass
    assert FakeCapture.released == before + 1


@pytest.mark.usefixtures("hardware")
def test_usb_camera_that_hangs(monkeypatch):
    monkeypatch.setattr(FakeCapture, "frames", 1)
    monkeypatch.setattr(FakeCapture, "hangs", True)
    monkeypatch.setattr(opencv_source, "SILENT_S", 0.2)
    with pytest.raises(StuckError, match="opencv:0: the driver does not return") as raised:
        watch(open_camera("opencv:0"))
    assert "no picture for 0.2 s" in str(raised.value.__cause__)
    eventually(lambda: raised.value.freed)


def watch(source):
    with source:
        for _ in source:
            pass


@pytest.mark.usefixtures("hardware")
@pytest.mark.parametrize("where", ["open", "close"])
def test_microphone_whose_driver_hangs(monkeypatch, where):
    """The lane gets a StuckError and goes on; what was opened too late is closed all the same."""
    returns = threading.Event()
    hanging = getattr(FakePyAudio, where, None) or FakePyAudio.terminate

    def hang(self, *arguments, **keywords):
        assert returns.wait(30)
        return hanging(self, *arguments, **keywords)

    monkeypatch.setattr(FakePyAudio, "open" if where == "open" else "terminate", hang)
    monkeypatch.setattr(pyaudio_source, "DRIVER_S", 0.05)
    with (
        pytest.raises(StuckError, match="pyaudio:default: the driver") as raised,
        open_microphone("pyaudio:default") as microphone,
    ):
        next(iter(microphone))
    assert not raised.value.freed
    returns.set()
    eventually(lambda: raised.value.freed)
    assert FakePyAudio.alive == 0


@pytest.mark.usefixtures("hardware")
def test_ribbon_camera_whose_driver_hangs(monkeypatch):
    returns = threading.Event()
    start = FakePicamera2.start

    def hang(self):
        assert returns.wait(30)
        start(self)

    monkeypatch.setattr(FakePicamera2, "start", hang)
    monkeypatch.setattr(picamera2_source, "DRIVER_S", 0.05)
    with pytest.raises(StuckError, match="picamera2:0") as raised:
        watch(open_camera("picamera2:0"))
    returns.set()
    eventually(lambda: raised.value.freed)
    assert FakePicamera2.in_use == 0


# -- sources that fail by the clock ----------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch):
    """The time that faults go by."""
    now = SimpleNamespace(s=0.0)
    monkeypatch.setattr(faulty_source, "clock", lambda: now.s)
    return now


def images(camera, clock, *times):
    """What the camera shows at these times."""
    with camera:
        frames = iter(camera)
        shown = []
        for clock.s in times:
            shown.append(next(frames).image)
        return shown


def test_faulty_pictures(clock):
    plan = "freeze@10-20,black@20-30,dark@30-40,cover@40-50"
    camera = open_camera(f"faulty:{plan}|pattern:?speed=0&width=64&height=48")
    well, frozen, still, black, dark, cover, again = images(camera, clock, 5, 10, 15, 25, 35, 45, 50)
    assert not np.array_equal(well, frozen)
    assert np.array_equal(frozen, still)
    assert not black.any()
    assert 3 < dark.mean() < 9
    assert dark.std() > 1
    assert 110 < cover.mean() < 130
    assert 1 < cover.std() < 5
    assert again.std() > 20


def test_faulty_sound(clock):
    with open_microphone("faulty:silence@10-20,clip@20-30|pattern:?speed=0") as microphone:
        blocks = iter(microphone)
        clock.s = 10
        assert not next(blocks).samples.any()
        clock.s = 20
        assert (np.abs(next(blocks).samples) == 1).mean() > 0.9
        clock.s = 30
        assert 0.2 < np.abs(next(blocks).samples).max() < 0.4


def test_faulty_plugs(clock):
    uri = "faulty:unplug@10-20,absent@30|pattern:?speed=0"
    with pytest.raises(SourceError, match="stopped delivering"), open_camera(uri) as camera:
        for clock.s, _ in zip(range(20), camera, strict=False):
            pass
    with pytest.raises(SourceError, match="is it plugged in"), open_camera(uri):
        pass
    clock.s = 20
    with open_camera(uri) as camera:
        next(iter(camera))
    clock.s = 30
    with pytest.raises(SourceError, match="is it plugged in"), open_camera(uri):
        pass


def test_faulty_hangs(clock, monkeypatch):
    monkeypatch.setattr(faulty_source, "SILENT_S", 0.01)
    camera = open_camera("faulty:hang@10-20|pattern:?speed=0")
    clock.s = 15
    with pytest.raises(StuckError, match="does not return") as raised:
        watch(camera)
    assert "nothing for 0.01 s" in str(raised.value.__cause__)
    assert not raised.value.freed
    clock.s = 20
    eventually(lambda: raised.value.freed)


# -- names that survive a replug -------------------------------------------------------------------------


@pytest.fixture
def usb(tmp_path, monkeypatch):
    """Plugs cameras into a pretended /sys and /dev: (number, name, index, name in by-id)."""
    monkeypatch.setattr(opencv_source, "SYS", tmp_path / "sys")
    monkeypatch.setattr(opencv_source, "DEV", tmp_path / "dev")

    def plug(number, name, *, index=0, by_id="", by_path=""):
        folder = tmp_path / "sys" / f"video{number}"
        folder.mkdir(parents=True)
        (folder / "name").write_text(f"{name}\n")
        (folder / "index").write_text(f"{index}\n")
        node = tmp_path / "dev" / f"video{number}"
        node.parent.mkdir(exist_ok=True)
        node.mkdir()  # cannot be opened for writing, so index decides
        for kind, link in (("by-id", by_id), ("by-path", by_path)):
            if link:
                (tmp_path / "dev/v4l" / kind).mkdir(parents=True, exist_ok=True)
                (tmp_path / "dev/v4l" / kind / link).symlink_to(node)
        return folder, node

    return plug


def test_cameras_are_listed_under_names_that_last(usb, tmp_path):
    usb(0, "HD Pro Webcam C920", by_id="usb-046d_C920-video-index0", by_path="usb-0:1.1-video-index0")
    usb(1, "HD Pro Webcam C920", index=1, by_id="usb-046d_C920-video-index1")
    usb(2, "Cheap: camera? 100%", by_path="usb-0:1.2-video-index0")
    usb(10, "Alone")
    usb(11, "Twin")
    usb(12, "Twin")
    dev = tmp_path / "dev"
    listed = opencv_source.cameras()
    assert [(device.uri, device.name) for device in listed] == [
        (f"opencv:{dev}/v4l/by-id/usb-046d_C920-video-index0", "HD Pro Webcam C920"),
        (f"opencv:{dev}/v4l/by-path/usb-0:1.2-video-index0", "Cheap: camera? 100%"),
        ("opencv:name=Alone", "Alone"),
        (f"opencv:{dev}/video11", "Twin"),
        (f"opencv:{dev}/video12", "Twin"),
    ]


@pytest.mark.usefixtures("hardware")
def test_a_camera_is_found_by_name_whatever_its_number_became(usb, monkeypatch):
    opened = []

    class Recorded(FakeCapture):
        def __init__(self, device, api):
            opened.append(device)
            super().__init__("/dev/null", api)

    monkeypatch.setattr(opencv_source.cv2, "VideoCapture", Recorded)
    folder, node = usb(0, "HD Pro Webcam C920")
    with open_camera("opencv:name=c920") as camera:
        next(iter(camera))
    node.rmdir()
    (folder / "name").rename(folder / "gone")
    (folder / "index").unlink()
    usb(4, "HD Pro Webcam C920")
    usb(5, "Another camera")
    with open_camera("opencv:name=c920") as camera:
        next(iter(camera))
    assert [path[-6:] for path in opened] == ["video0", "video4"]
    with pytest.raises(
        SourceError, match=r"opencv:name=front: no device is called 'front'; there is 'HD Pro"
    ):
        watch(open_camera("opencv:name=front"))
    with pytest.raises(SourceError, match="name a number or a path"):
        open_camera("opencv:name=")


def test_what_does_not_capture_is_no_camera(usb):
    """A real device node of another kind refuses the question."""
    _, node = usb(0, "codec")
    node.rmdir()
    node.symlink_to("/dev/null")
    assert opencv_source.cameras() == []


def test_a_virtual_camera_of_the_kernel():
    if not list(opencv_source.SYS.glob("video*")):
        pytest.skip("no video device here, and no v4l2loopback in this kernel")
    for device in opencv_source.cameras():
        open_camera(device.uri)


@pytest.mark.usefixtures("hardware")
def test_microphones_are_listed_without_the_number_of_their_card(monkeypatch):
    names = ("USB PnP: Audio (hw:2,0)", "Twin (hw:3,0)", "Twin (hw:4,0)")
    monkeypatch.setattr(FakePyAudio, "names", names)
    monkeypatch.setattr(FakePyAudio, "only_rate", {})
    listed = pyaudio_source.microphones()
    assert [device.uri for device in listed] == [
        "pyaudio:USB PnP: Audio", "pyaudio:Twin (hw:3,0)", "pyaudio:Twin (hw:4,0)",
    ]  # fmt: skip
    monkeypatch.setattr(FakePyAudio, "names", ("Twin (hw:0,0)", "Other (hw:1,0)", "USB PnP: Audio (hw:4,0)"))
    with open_microphone(listed[0].uri) as microphone:
        next(iter(microphone))


LISTEN = """
from edge.sources import microphones_here, open_microphone
from edge.verdict import SoundJudge
assert "pyaudio:mutedmic" in [device.uri for device in microphones_here()]
judge = SoundJudge(after_s=0.5)
with open_microphone("pyaudio:mutedmic") as microphone:
    for block in microphone:
        if judge(block).problem:
            break
print(judge.problem)
"""


def test_a_muted_microphone_behind_the_real_portaudio(tmp_path):
    """ALSA's file device, fed with zeros: no sound card is needed."""
    pytest.importorskip("pyaudio", reason="PyAudio is not installed here")
    (tmp_path / ".asoundrc").write_text(
        'pcm.mutedmic { type file slave.pcm "null" file "/dev/null" infile "/dev/zero" format "raw" }\n'
        "pcm.!default { type null }\n"
    )
    command = [sys.executable, "-c", LISTEN]
    home = os.environ | {"HOME": str(tmp_path)}
    done = subprocess.run(command, env=home, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["silent"], done.stderr


def test_ribbon_cameras_are_listed(monkeypatch):
    infos = [
        {"Model": "imx708", "Id": "/base/axi/pcie@120000/rp1/i2c@88000/imx708@1a", "Num": 0},
        {"Model": "C920", "Id": "/base/axi/pcie@120000/rp1/usb@200000-1:1.0-046d:082d", "Num": 1},
    ]
    driver = SimpleNamespace(Picamera2=SimpleNamespace(global_camera_info=lambda: infos))
    monkeypatch.setitem(sys.modules, "picamera2", driver)
    assert picamera2_source.cameras() == [Device("picamera2:0", "imx708")]


@pytest.mark.usefixtures("hardware")
def test_usb_camera_that_is_not_there():
    with pytest.raises(SourceError, match="cannot be opened"), open_camera("opencv:7") as camera:
        next(iter(camera))
    with pytest.raises(SourceError, match="no such device"), open_camera("opencv:/dev/v4l/by-id/none"):
        pass


@pytest.mark.usefixtures("hardware")
def test_usb_camera_is_asked_for_the_size():
    with open_camera("opencv:0?width=320&height=240") as camera:
        assert next(iter(camera)).image.shape == (240, 320, 3)
    with open_camera("opencv:0?width=1280&height=720") as camera:
        assert next(iter(camera)).image.shape == (720, 1280, 3)


@pytest.mark.usefixtures("hardware")
def test_ribbon_camera_with_a_loose_cable(monkeypatch):
    monkeypatch.setattr(FakePicamera2, "fails_after", 2)
    monkeypatch.setattr(picamera2_source, "SILENT_S", 0.1)
    with pytest.raises(SourceError, match="check the cable"), open_camera("picamera2:0") as camera:
        for _ in camera:
            pass


@pytest.mark.usefixtures("hardware")
def test_ribbon_camera_that_is_not_there_or_in_use():
    with pytest.raises(SourceError, match="picamera2:3: cannot be opened"), open_camera("picamera2:3"):
        pass
    with (
        open_camera("picamera2:0"),
        pytest.raises(SourceError, match="cannot be opened"),
        open_camera("picamera2:0"),
    ):
        pass


@pytest.mark.usefixtures("hardware")
def test_microphone_counts_overflows():
    with open_microphone("pyaudio:default") as microphone:
        for _, _ in zip(microphone, range(8), strict=False):
            pass
        assert microphone.overflows == 1


@pytest.mark.usefixtures("hardware")
def test_microphone_that_is_pulled_out(monkeypatch):
    monkeypatch.setattr(FakePyAudio, "unplug_after", 5)
    with (
        pytest.raises(SourceError, match="the microphone stopped"),
        open_microphone("pyaudio:default") as microphone,
    ):
        for _ in microphone:
            pass


@pytest.mark.usefixtures("hardware")
def test_microphone_names():
    for wanted, says in (
        ("usb", "'usb' fits more than one device: 'USB Microphone', 'USB Microphone Pro'"),
        ("headset", "no device is called 'headset'; there is 'ReSpeaker 4 Mic Array'"),
        ("hdmi", "no device is called 'hdmi'"),  # an output
        ("9", "Invalid device info"),
    ):
        with pytest.raises(SourceError) as raised, open_microphone(f"pyaudio:{wanted}"):
            pass
        assert says in str(raised.value)


def test_the_exact_name_wins():
    devices = [Device("a", "USB Microphone"), Device("b", "USB Microphone Pro")]
    assert closest("usb microphone", devices).uri == "a"
    assert closest("pro", devices).uri == "b"


@pytest.mark.parametrize(
    ("driver", "open_source", "uri", "package"),
    [
        ("picamera2", open_camera, "picamera2:0", "sudo apt-get install python3-picamera2"),
        ("pyaudio", open_microphone, "pyaudio:default", "pip install PyAudio"),
    ],
)
def test_missing_drivers_are_named(monkeypatch, driver, open_source, uri, package):
    monkeypatch.setitem(sys.modules, driver, None)
    with pytest.raises(SourceError) as raised, open_source(uri):
        pass
    assert package in str(raised.value)


def test_microphone_stamps_follow_the_sample_count(monkeypatch):
    """A reader that stalls does not stretch time, and the backlog is dated back."""
    clock = SimpleNamespace(now=50.0)
    monkeypatch.setattr(pyaudio_source.time, "monotonic", lambda: clock.now)
    capture = pyaudio_source.Capture("default")
    step = BLOCK_SAMPLES / RATE_HZ
    for _ in range(4):
        capture._heard.put(np.zeros(BLOCK_SAMPLES, np.float32))
    ats = [block.at for block, _ in zip(capture, range(3), strict=False)]
    assert ats == pytest.approx([50 - 4 * step, 50 - 3 * step, 50 - 2 * step])


@pytest.mark.parametrize("moved", [True, False])
def test_opencv_is_hushed_where_its_switch_is(monkeypatch, moved):
    """4.14 has it in utils.logging, 4.11, the last that goes with numpy 1, in the package itself."""
    levels = []
    switch = SimpleNamespace(setLogLevel=levels.append)
    old = SimpleNamespace(setLogLevel=levels.append, utils=SimpleNamespace())
    new = SimpleNamespace(utils=SimpleNamespace(logging=switch))
    monkeypatch.setitem(sys.modules, "cv2", new if moved else old)
    hush_opencv()
    assert levels == [0]
