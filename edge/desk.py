"""What the main thread does: counts observations, tells the sinks, obeys commands. One thread, no locks."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Literal, get_args

from edge import doctor, vitals
from edge.capture import Report
from edge.checks import Language, Patient, Running
from edge.contract.commands import (
    Answer,
    Checked,
    Command,
    Verb,
    read_mode,
    read_request,
    read_switch,
    transaction_of,
)
from edge.events import (
    SCHEMA,
    Event,
    EventError,
    Health,
    Reduced,
    Session,
    State,
    Switch,
    to_json,
)
from edge.kit import Kit
from edge.lesson import Lesson
from edge.mood import RoomMood, Window
from edge.sinks import Sink
from edge.stamp import Stamp, state_of
from edge.standing import Standing
from edge.supervisor import Condition
from edge.types import Look, Observation, Presence
from edge.upkeep import Upkeep

logger = logging.getLogger(__name__)

HEALTH_EVERY_S = 30.0
FIRST_HEALTH_S = 5.0
LONGEST_VERB = 40
CROWD_EVERY_S = 60.0
"""Between two words about commands that came too fast."""
SOON_S = 0.01
"""Between two looks whether the last observations of a window are there."""


class Desk:
    """Between the lanes and the sinks."""

    def __init__(
        self,
        kit: Kit,
        sinks: Sequence[Sink],
        *,
        stamp: Stamp | None = None,
        clock: Callable[[], float] = time.monotonic,
        upkeep: Upkeep | None = None,
    ) -> None:
        """Speak for *kit* to all *sinks*, which are open; *upkeep* does what an admin asks for."""
        self._upkeep = upkeep or Upkeep(kit)
        self._kit, self._sinks, self._clock = kit, sinks, clock
        self._stamp = stamp or Stamp(kit.settings.kit_name)
        self._previous = kit.outbox.previous if kit.outbox is not None else None
        self._born = clock()
        self._health_due = self._born + FIRST_HEALTH_S
        self._crowd, self._crowd_due = 0, float("-inf")
        self._mood: RoomMood | None = None
        self._standing = Standing(kit, self._stamp, self._retain)
        self._lesson = Lesson(kit, self._stamp, clock, retain=self._retain, tell=self._tell)

    def begin(self) -> None:
        """Say who we are, and begin a session if capture is on."""
        for sink in self._sinks:
            self._kit.introduce(sink)
        self._retain("info", to_json(self._kit.info()))
        self._standing.begin()
        if self._reads_the_room():
            self._begin_session("boot")
        else:
            self._tell_capture_off()

    def count(self, item: Observation | Presence | Look) -> None:
        """Count one observation, unless capture was switched off while it was under way."""
        if isinstance(item, Look):
            self._kit.trials.count(item.reading)
            self._lesson.see(item)
            return
        self._kit.trials.count(item)
        if self._mood is not None:
            self._mood.add(item)

    def tend(self, now: float) -> None:
        """Close windows, obey, report and let the sinks work; several times a second."""
        while command := self._kit.crowded_out.get(timeout_s=0):
            self._obey(command)  # which only tells why not
        while command := self._kit.commands.get(timeout_s=0):
            self._obey(command)
        self._log_crowd(now)
        while self._kit.presses.get(timeout_s=0):
            self._press()
        if self._kit.switches.refresh():
            logger.info("switches: changed by another process")
            self._when_switched()
        self._lesson.tend(now)
        self._standing.tend()
        if (change := self._stamp.look()) is not None:
            logger.info("clock: %s, jumped %+.1f s", change.reason, change.step_s)
            self._publish(self._stamp.event(change, at=now))
        for window in self._close_windows(now):
            event = self._stamp.window(window)
            self._publish(event)
            self._retain("state", to_json(state_of(event)))
        if self._kit.brake is not None and self._kit.brake.tend(now):
            self._health_due = now  # worth telling at once
            self._log_load()
        for command, done in self._upkeep.tend(now, self._standing.working()):
            self._answer(command, done)
        if now >= self._health_due:
            self._health_due = now + HEALTH_EVERY_S
            self._tell("health", to_json(self._health(now)))
        if self._kit.trials.tend(now):
            self._retain("info", to_json(self._kit.info()))
        for sink in self._sinks:
            sink.tend()

    def idle_s(self, longest_s: float) -> float:
        """How long the thread may wait for observations before it has to tend again."""
        if self._mood is None:
            return longest_s
        left_s = self._mood.due - self._clock()
        return min(longest_s, left_s) if left_s > 0 else SOON_S

    def _close_windows(self, now: float) -> Sequence[Window]:
        if self._mood is None:
            return ()
        observed_to = self._kit.observed_to(now)
        while (item := self._kit.observations.get(timeout_s=0)) is not None:
            self.count(item)
        return list(self._mood.close(now, complete_to=observed_to))

    def end(self) -> None:
        """Close the session: the daemon stops."""
        self._standing.end()
        if self._mood is not None:
            self._end_session("shutdown")

    def hear_of_lane(self, lane: str, condition: Condition) -> None:
        """Pass on what happens to a source; called from the lane's thread."""
        if lane in ("camera", "microphone") and condition == "ended":
            self._kit.reports.put(Report(lane, "offline"))  # type: ignore[arg-type]

    # ── Sessions ─────────────────────────────────────────────────────────────────────────────────────

    def _reads_the_room(self) -> bool:
        return self._kit.mode.now == "class" and self._kit.switches.now.capture == "on"

    def _begin_session(self, reason: Literal["boot", "switch"]) -> None:
        now = self._clock()
        self._mood = self._kit.start_mood(now)
        told, self._previous = self._previous, None  # once: the first session of a boot tells it
        self._publish(self._stamp.event(Session("start", reason, told), at=now))

    def _end_session(self, reason: Literal["switch", "shutdown"]) -> None:
        self._mood = None
        self._publish(self._stamp.event(Session("end", reason), at=self._clock()))

    def _tell_capture_off(self) -> None:
        state = State(
            schema=SCHEMA,
            at=self._stamp.time(self._clock()),
            time_quality=self._stamp.quality(),
            mood=None,
            shares={},
            confidence=0.0,
            people=0,
            suppressed="capture_off",
        )
        self._retain("state", to_json(state))

    # ── Commands ─────────────────────────────────────────────────────────────────────────────────────

    def _obey(self, command: Command) -> None:
        kind, _, name = command.leaf.partition("/")
        try:
            if command.refusal:
                asked = transaction_of(command)
                answer: Answer | None = Answer(ok=False, transaction=asked, error=command.refusal)
            elif self._upkeep.knows(name) and kind == "request":
                answer = self._upkeep.answer(name, command, self._standing.working())
            elif self._lesson.knows(name) and kind == "request":
                answer = self._lesson.answer(name, command)
            else:
                answer = self._set(command, name) if kind == "set" else self._respond(name, command)
        except EventError as error:
            answer = Answer(ok=False, transaction=transaction_of(command), error=str(error))
        if answer is not None:
            self._answer(command, answer)

    def _answer(self, command: Command, answer: Answer) -> None:
        kind, _, name = command.leaf.partition("/")
        leaf = "response/set" if kind == "set" else f"response/{name[:LONGEST_VERB]}"
        for sink in self._sinks:
            sink.tell(leaf, answer.to_json(), qos=1, to=command)

    def _log_crowd(self, now: float) -> None:
        lost = self._kit.commands.dropped - self._crowd
        if lost and now >= self._crowd_due:
            self._crowd, self._crowd_due = self._kit.commands.dropped, now + CROWD_EVERY_S
            logger.warning("commands: %d came faster than they are obeyed and were refused", lost)

    def _set(self, command: Command, what: str) -> Answer:
        """Flip a switch or the mode. Saying so twice changes nothing and is answered the same."""
        if what == "mode":
            return self._set_mode(command)
        name, value = read_switch(command)
        if self._kit.switches.set(name, value):
            logger.info("switches: %s is %s", name, value)
        self._when_switched()
        switches = self._kit.switches
        return Answer(ok=True, capture=switches.now, remembered=switches.remembered)

    def _set_mode(self, command: Command) -> Answer:
        mode = self._kit.mode
        if mode.set(read_mode(command)):
            logger.info("mode: %s", mode.now)
            self._lesson.end_round()
            self._kit.change_mode()
        self._when_switched()
        return Answer(ok=True, mode=mode.now, remembered=mode.remembered)

    def _press(self) -> None:
        """The button on the kit: pause what runs, resume what is paused."""
        value: Switch = "off" if self._kit.switches.now.capture == "on" else "on"
        self._kit.switches.set("capture", value)
        logger.info("switches: capture is %s (button)", value)
        self._when_switched()

    def _when_switched(self) -> None:
        """Have devices closed first, then say so, and begin or end the session."""
        self._kit.obey_switches()
        self._lesson.heed_switches()
        self._retain("info", to_json(self._kit.info()))
        on = self._reads_the_room()
        if self._mood is not None and not on:
            self._end_session("switch")
            self._tell_capture_off()
        elif self._mood is None and on:
            self._begin_session("switch")

    def _respond(self, verb: str, command: Command) -> Answer:
        asked = read_request(command).transaction
        if verb == "ping":
            return Answer(ok=True, transaction=asked)
        if verb == "info":
            return Answer(ok=True, transaction=asked, info=self._kit.info())
        if verb == "health":
            return Answer(ok=True, transaction=asked, health=self._health(self._clock()))
        if verb == "doctor":
            return Answer(ok=True, transaction=asked, doctor=self._examine())
        known = ", ".join(get_args(Verb))
        return Answer(
            ok=False, transaction=asked, error=f"unknown verb {verb[:LONGEST_VERB]!r}; known are {known}"
        )

    def _examine(self) -> tuple[Checked, ...]:
        running = Running(self._kit.info(), self._health(time.monotonic()), self._standing.statuses)
        found = doctor.glance(Patient(self._kit.settings, running=running))
        return tuple(
            Checked(
                item.id,
                item.status,
                {language: item.found(language) for language in get_args(Language)},
                {language: item.todo(language) for language in get_args(Language)},
            )
            for item in found
        )

    def _log_load(self) -> None:
        if now := self._reduced():
            logger.info("load: %s: %g looks a second at %d pixels", now.reason, now.fps, now.search_px)
        else:
            logger.info("load: looks as hard as the settings ask")

    def _reduced(self) -> Reduced | None:
        governor = self._kit.brake.governor if self._kit.brake is not None else None
        if governor is None or governor.reason is None:
            return None
        now = governor.effort
        return Reduced(
            reason=governor.reason,
            since=self._stamp.time(governor.since),
            fps=now.fps,
            search_px=now.search_px,
            reads_per_s=now.reads_per_s,
            misses_far_faces=now.search_px < governor.full.search_px,
        )

    # ── Telling ──────────────────────────────────────────────────────────────────────────────────────

    def _publish(self, event: Event) -> None:
        for sink in self._sinks:
            sink.publish(event)

    def _retain(self, leaf: str, payload: str) -> None:
        for sink in self._sinks:
            sink.retain(leaf, payload)

    def _tell(self, leaf: str, payload: str, *, qos: int = 0) -> None:
        for sink in self._sinks:
            sink.tell(leaf, payload, qos=qos)

    def _health(self, now: float) -> Health:
        fps, latencies = self._kit.pace.take(now)
        outbox = self._kit.outbox
        return Health(
            schema=SCHEMA,
            at=self._stamp.time(now),
            time_quality=self._stamp.quality(),
            uptime_s=round(now - self._born, 1),
            fps=round(fps, 2),
            latency_p50_s=_quantile(latencies, 0.5),
            latency_p95_s=_quantile(latencies, 0.95),
            dropped_frames=self._kit.frames.dropped,
            dropped_blocks=self._kit.blocks.dropped,
            rss_mb=vitals.rss_mb(),
            temperature_c=vitals.temperature_c(),
            throttled=vitals.throttled(),
            outbox=sum(sink.waiting for sink in self._sinks),
            dropped_events=sum(sink.dropped for sink in self._sinks),
            outbox_keeping=outbox.keeping if outbox is not None else "memory",
            outbox_damaged=outbox.damaged if outbox is not None else 0,
            camera_problem=self._standing.problem("camera"),
            microphone_problem=self._standing.problem("microphone"),
            cpu_percent=brake.cpu_percent if (brake := self._kit.brake) is not None else None,
            reduced=self._reduced(),
            dropped_commands=self._kit.commands.dropped,
        )


def _quantile(ordered: Sequence[float], part: float) -> float | None:
    return round(ordered[min(len(ordered) - 1, int(part * len(ordered)))], 4) if ordered else None
