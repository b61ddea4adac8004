import threading
from threading import Event, Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.flow import Mailbox, OpenDevices
from edge.types import StuckError


@given(size=st.integers(1, 5), puts=st.lists(st.integers(), max_size=30))
def test_nothing_is_lost_without_being_counted(size: int, puts: list[int]) -> None:
    box: Mailbox[int] = Mailbox(size)
    for item in puts:
        box.put(item)
    got = []
    while (item_or_none := box.get(timeout_s=0)) is not None:
        got.append(item_or_none)
    assert got == puts[len(puts) - len(got) :], "the newest, in order"
    assert len(got) + box.dropped == len(puts)


def test_the_newest_frame_wins() -> None:
    box: Mailbox[str] = Mailbox(1)
    box.put("old")
    box.put("new")
    assert box.get(timeout_s=0) == "new"
    assert box.dropped == 1


def test_an_empty_box_gives_none() -> None:
    assert Mailbox[int](3).get(timeout_s=0) is None


def test_clearing_is_not_dropping() -> None:
    box: Mailbox[int] = Mailbox(3)
    box.put(1)
    box.clear()
    assert (len(box), box.dropped) == (0, 0)


def test_a_waiting_reader_is_woken_by_a_put() -> None:
    box: Mailbox[int] = Mailbox(1)
    got: list[int | None] = []
    reader = threading.Thread(target=lambda: got.append(box.get(timeout_s=30)))
    reader.start()
    box.put(7)
    reader.join(30)
    assert got == [7]


def test_a_reader_that_is_woken_waits_no_longer_and_only_once() -> None:
    box: Mailbox[int] = Mailbox(1)
    box.wake()
    assert box.get(timeout_s=0) is None, "who does not wait is not woken"
    assert box.get(timeout_s=1e6) is None
    got: list[int | None] = []
    reader = threading.Thread(target=lambda: got.append(box.get(timeout_s=1e6)))
    reader.start()
    box.wake()
    reader.join(30)
    assert got == [None]
    box.put(7)
    assert box.get(timeout_s=1e6) == 7


def test_a_device_is_open_until_it_was_released_and_the_listener_hears_it_in_order() -> None:
    told: list[bool] = []
    devices = OpenDevices(told.append)
    with devices.hold("camera", lambda: None):
        assert told == [True]
        with devices.hold("microphone", lambda: None):
            assert "microphone" in devices
        assert told == [True], "one is still open"
    assert told == [True, False]
    assert "camera" not in devices


def test_a_device_whose_driver_hangs_stays_open_until_it_returns() -> None:
    told: list[bool] = []
    devices, returns = OpenDevices(told.append), Event()
    driver = Thread(target=returns.wait, args=(30,))
    driver.start()
    with pytest.raises(StuckError), devices.hold("camera", lambda: None):
        raise StuckError("camera: the driver does not return", driver)
    devices.look()
    assert "camera" in devices
    returns.set()
    driver.join(30)
    devices.look()
    assert "camera" not in devices
    assert told == [True, False]


def test_a_dismissed_device_is_asked_to_close() -> None:
    devices, asked = OpenDevices(), Event()
    devices.dismiss("camera")
    with devices.hold("camera", asked.set) as hold:
        assert not hold.dismissed
        devices.dismiss("camera")
        assert hold.dismissed
    assert asked.is_set()


def test_a_mailbox_tells_what_its_reader_has_in_hand() -> None:
    box: Mailbox[int] = Mailbox(4)
    assert box.oldest is None
    box.put(0)
    box.put(7)
    assert box.oldest == 0
    assert box.get(timeout_s=0) == 0
    assert box.oldest == 0, "until the reader asks for the next one"
    assert box.get(timeout_s=0) == 7
    assert box.oldest == 7
    assert box.get(timeout_s=0) is None
    assert box.oldest is None
