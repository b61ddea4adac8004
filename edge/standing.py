"""What camera and microphone are doing, told whenever it changes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from edge.events import SCHEMA, SourceDetail, SourceName, SourceStatus, to_json
from edge.kit import Kit
from edge.stamp import Stamp


class Standing:
    """The last word on every source."""

    def __init__(self, kit: Kit, stamp: Stamp, retain: Callable[[str, str], None]) -> None:
        """*retain* tells a leaf and its payload to whoever listens now or comes later."""
        self._kit, self._stamp, self._retain = kit, stamp, retain
        self._statuses: dict[SourceName, SourceStatus] = {}
        self._details: dict[SourceName, tuple[SourceStatus, str | None, str]] = {}

    def begin(self) -> None:
        """A source that is set up is on its way; one that is not is offline."""
        for name, present in self._kit.has.items():
            self._tell(name, "recovering" if present else "offline")

    def tend(self) -> None:
        """What the lanes report; and ``disabled`` once a device that may not be open is closed, no sooner.

        A lane that waits for its next attempt reports nothing, but its device is closed all the same.
        """
        self._kit.devices.look()
        while report := self._kit.reports.get(timeout_s=0):
            if self._kit.switches.allows(report.source) or report.source in self._kit.devices:
                self._tell(*report)
        for name in (name for name, present in self._kit.has.items() if present):
            if self._kit.switches.allows(name):
                if self._statuses[name] == "disabled":
                    self._tell(name, "recovering")
            elif name not in self._kit.devices:
                self._tell(name, "disabled")

    def end(self) -> None:
        """Nothing is read any more."""
        for name in self._kit.has:
            self._tell(name, "offline")

    @property
    def statuses(self) -> Mapping[str, SourceStatus]:
        """Of every source."""
        return {str(name): status for name, status in self._statuses.items()}

    def working(self) -> dict[str, str]:
        """The status of every source that nobody switched off."""
        return {name: told for name, told in self._statuses.items() if self._kit.switches.allows(name)}

    def problem(self, name: SourceName) -> str | None:
        """The id of what a source suffers from."""
        return self._details[name][1] if name in self._details else None

    def _tell(
        self, name: SourceName, status: SourceStatus, problem: str | None = None, text: str = ""
    ) -> None:
        if self._statuses.get(name) != status:
            self._statuses[name] = status
            self._retain(f"source/{name}/status", status)
        if self._details.get(name) != (status, problem, text):
            self._details[name] = (status, problem, text)
            at = self._stamp.time(time.monotonic())
            self._retain(f"source/{name}/detail", to_json(SourceDetail(SCHEMA, at, status, problem, text)))
