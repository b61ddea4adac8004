"""run(): the whole flow on one page."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack

from edge.desk import Desk
from edge.kit import Kit
from edge.reload import Reload
from edge.sinks import Sink
from edge.state.claim import Claim
from edge.supervisor import Supervisor
from edge.systemd import Notifier
from edge.tuning import Tuned
from edge.upkeep import Upkeep

TICK_S = 0.2
"""The main thread looks after commands, windows and sinks this often when nothing is observed."""
LAST_WORDS_S = 1.0
"""Left to the stages for what is under way when every source is over."""


def run(
    kit: Kit,
    sinks: Sequence[Sink],
    stop: threading.Event,
    *,
    notifier: Notifier | None = None,
    reload: Reload | None = None,
    tuned: Tuned | None = None,
) -> bool:
    """Watch the room until *stop* is set, every source is over, or *reload* is due.

    Returns:
        Whether every lane has ended; if not, the process has to ``supervisor.leave``.

    Raises:
        Exception: the bug that ended a lane, so that the process ends and can be started anew.
    """
    notifier = notifier or Notifier()
    with ExitStack() as stack:
        stack.enter_context(Claim(kit.settings.state_folder))
        stack.enter_context(kit.panel)
        stack.enter_context(kit.trials)
        upkeep = stack.enter_context(Upkeep(kit, reload, tuned))
        desk = Desk(kit, [stack.enter_context(sink) for sink in sinks], upkeep=upkeep)
        stack.callback(desk.end)
        lanes = stack.enter_context(Supervisor(stop, told=desk.hear_of_lane))
        desk.begin()
        for name, work in kit.lanes():
            lanes.start(name, work)
        notifier.ready()
        while not stop.is_set():
            item = kit.observations.get(timeout_s=desk.idle_s(TICK_S))
            while item is not None:
                desk.count(item)
                item = kit.observations.get(timeout_s=0)
            desk.tend(time.monotonic())
            lanes.check()
            if reload is not None:
                reload.tend()
            if lanes.progressing(time.monotonic()):
                notifier.ping()
            if lanes.ended("camera", "microphone"):
                stop.wait(LAST_WORDS_S)
                stop.set()
        while (item := kit.observations.get(timeout_s=0)) is not None:
            desk.count(item)
        if reload is not None and reload.due:
            notifier.reloading(time.monotonic())
        else:
            notifier.stopping()
    return not lanes.left
