"""What passes through a cable, understood as far as events and their acknowledgements go.

A second account beside the witness's: an event that the broker acknowledged and no subscriber got was lost
behind the broker, which is killed here and keeps nothing; one that it never acknowledged is the kit's to
keep. Reads MQTT 3.1.1, which every scene speaks.
"""

from __future__ import annotations

from collections.abc import Iterator

PUBLISH, PUBACK = 3, 4


class Tap:
    """On one connection."""

    def __init__(self, acknowledged: set[bytes]) -> None:
        """Add to *acknowledged* the id of each event whose acknowledgement comes from the broker."""
        self._acknowledged = acknowledged
        self._up, self._down = _Packets(), _Packets()
        self._waiting: dict[bytes, bytes] = {}

    def goes_up(self, data: bytes) -> None:
        """Bytes on their way to the broker."""
        for head, body in self._up.of(data):
            if head >> 4 == PUBLISH and head & 0b110:
                topic, rest = _split(body)
                if topic.endswith(b"/event"):
                    self._waiting[rest[:2]] = id_of(rest)

    def comes_down(self, data: bytes) -> None:
        """Bytes on their way from it."""
        for head, body in self._down.of(data):
            if head >> 4 == PUBACK and body[:2] in self._waiting:
                self._acknowledged.add(self._waiting.pop(body[:2]))


class _Packets:
    """One direction of a connection, cut into packets."""

    def __init__(self) -> None:
        self._held = bytearray()

    def of(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """First byte and content of every packet that *data* completes."""
        self._held += data
        while (end := self._end()) is not None:
            begin, stop = end
            yield self._held[0], bytes(self._held[begin:stop])
            del self._held[:stop]

    def _end(self) -> tuple[int, int] | None:
        """Where the first packet's content begins and ends; None before it is whole."""
        length = 0
        for place, byte in enumerate(self._held[1:5]):
            length += (byte & 0x7F) << (7 * place)
            if byte < 0x80:
                begin = 2 + place
                return (begin, begin + length) if len(self._held) >= begin + length else None
        return None


def id_of(body: bytes) -> bytes:
    """The id of an event's JSON."""
    return body.split(b'"id":"', 1)[1][:36]


def _split(body: bytes) -> tuple[bytes, bytes]:
    length = int.from_bytes(body[:2], "big")
    return body[2 : 2 + length], body[2 + length :]
