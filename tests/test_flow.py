import threading

from hypothesis import given
from hypothesis import strategies as st

from edge.flow import Mailbox


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
