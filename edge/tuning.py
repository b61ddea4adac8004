"""Settings that the page may change: which, what is kept of them, and how a change that does harm is undone.

The file of whoever looks after the kit is never written. What was changed lies in the state folder and goes
over the file's values at every start. It is on trial first: a start with it that ends without a word, or
one after which a source that worked is gone, brings back what was there before. Everything that is not in
KNOBS stands in the file only: the broker and its credentials, devices, keys, mode and region.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from edge.contract.commands import Setting
from edge.settings import Settings, check_mode
from edge.state import durable
from edge.types import SettingsError
from edge.words import LABELS

logger = logging.getLogger(__name__)

FILE = "settings.json"
"""In the state folder."""
HEALTHY_S = 60.0
"""A start that lasted this long, with every source back that was there before, has proved the change."""
MOST_STARTS = 3
"""So often may a change on trial be cut off by power cuts before it is given up."""
LONGEST_TEXT = 80
STUDY = ("happy", "sad", "fear")
"""The early-childhood study's view."""
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

Changes = Mapping[str, str]
"""Values as text, by the name of the setting; what is not in it is as in the file."""


@dataclass(frozen=True, slots=True)
class Knob:
    """One setting that may be changed."""

    name: str
    """As in the file, the table before the dot."""
    kind: Literal["number", "whole", "text", "choice"]
    least: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()


KNOBS: Mapping[str, Knob] = {
    knob.name: knob
    for knob in (
        Knob("room", "text"),
        Knob("mood.window_s", "number", 1, 60),
        Knob("mood.min_people", "whole", 2, 100),  # one person is not a room, whoever asks
        Knob("mood.smoothing_s", "number", 0, 10),
        Knob("mood.voice_weight", "number", 0, 1),
        Knob("mood.view", "choice", choices=(",".join(LABELS), ",".join(STUDY))),
        Knob("faces.detector", "choice", choices=("retinaface", "blazeface")),
        Knob("faces.search_px", "whole", 160, 3840),
        Knob("faces.max_fps", "number", 0.1, 60),
        Knob("faces.reads_per_s", "number", 0.1, 60),
        Knob("load.cpu_percent", "number", 0, 10_000),
        Knob("load.temperature_c", "number", 0, 120),
        Knob("camera.problem_after_s", "number", 0, 3600),
        Knob("microphone.problem_after_s", "number", 0, 3600),
    )
}


# ── Values ───────────────────────────────────────────────────────────────────────────────────────────


def plan(base: Settings, now: Changes, wanted: Changes) -> Changes:
    """All changes once *wanted* is among them; an empty text brings back the file's value.

    Raises:
        SettingsError: one cannot be changed from here, or the kit would not take it.
    """
    changes = dict(now)
    for name, text in wanted.items():
        knob = KNOBS.get(name)
        if knob is None:
            raise SettingsError(f"{name[:LONGEST_TEXT]} can be changed in the kit's own file only")
        changes.pop(name, None)
        if text.strip():
            told = _text(_parse(knob, text))
            if told != _text(_value(base, name)):
                changes[name] = told
    over(base, changes)
    return changes


def over(base: Settings, changes: Changes) -> Settings:
    """The settings with *changes* over the file's.

    Raises:
        SettingsError: names the one that does not do.
    """
    tables: dict[str, dict[str, Any]] = {}
    for name, text in changes.items():
        knob = KNOBS.get(name)
        if knob is None:
            raise SettingsError(f"{name[:LONGEST_TEXT]} can be changed in the kit's own file only")
        table, _, key = name.rpartition(".")
        tables.setdefault(table, {})[key] = _parse(knob, text)
    top = tables.pop("", {})
    top |= {table: replace(getattr(base, table), **values) for table, values in tables.items()}
    settings = replace(base, **top)
    check_mode(settings)
    return settings


def describe(base: Settings, settings: Settings) -> tuple[Setting, ...]:
    """Every setting that may be changed: what it is, what the file says, and what it can be."""
    return tuple(
        Setting(
            name=knob.name,
            kind=knob.kind,
            value=_text(_value(settings, knob.name)),
            usual=_text(_value(base, knob.name)),
            least=knob.least,
            most=knob.most,
            choices=knob.choices,
        )
        for knob in KNOBS.values()
    )


def _value(settings: Settings, name: str) -> Any:
    table, _, key = name.rpartition(".")
    return getattr(getattr(settings, table) if table else settings, key)


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _parse(knob: Knob, text: str) -> Any:
    text = text.strip()
    if knob.kind == "text":
        if len(text) > LONGEST_TEXT or not text.isprintable():
            raise SettingsError(f"{knob.name} must be a text of at most {LONGEST_TEXT} characters")
        return text
    if knob.kind == "choice":
        if text not in knob.choices:
            raise SettingsError(f"{knob.name} must be one of {' or '.join(knob.choices)}")
        return tuple(text.split(",")) if knob.name == "mood.view" else text
    try:
        number = int(text) if knob.kind == "whole" else float(text)
    except ValueError:
        kind = "a whole number" if knob.kind == "whole" else "a number"
        raise SettingsError(f"{knob.name} must be {kind}") from None
    assert knob.least is not None
    assert knob.most is not None
    if not math.isfinite(number) or not knob.least <= number <= knob.most:
        raise SettingsError(f"{knob.name} must be {knob.least:g} to {knob.most:g}")
    return number


# ── What is kept ─────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Trial:
    """A change has yet to prove itself."""

    online: tuple[str, ...] = ()
    """The sources that worked when it was made."""
    cut_off: int = 0
    """Starts that a power cut ended."""
    boot: str = ""
    """The machine's boot in which a start is under way; empty when none is."""


@dataclass(frozen=True, slots=True)
class Record:
    """Replaced as a whole, so that a power cut leaves the old one or the new one."""

    now: Changes = field(default_factory=dict)
    before: Changes = field(default_factory=dict)
    """What comes back when the trial fails."""
    trial: Trial | None = None
    failed: Changes = field(default_factory=dict)
    """What was given up last, until something else is changed."""
    why: str = ""


class Tuned:
    """The settings of one start. Written by the main thread only."""

    def __init__(self, base: Settings, *, boot: str | None = None) -> None:
        """Read what was changed over *base*, the file's settings and the command line's."""
        self.base = base
        self._path = base.state_folder / FILE
        self._boot = boot or _boot_id()
        self._since: float | None = None
        self.record = self._read()

    @property
    def settings(self) -> Settings:
        """What the kit is to run with; the file's where what was kept does not fit it any more."""
        try:
            return over(self.base, self.record.now)
        except SettingsError as error:
            logger.warning("settings: what the page changed is left out: %s", error)
            return self.base

    def begin(self) -> None:
        """A start is under way; what is on trial is noted for it, or given up."""
        trial = self.record.trial
        if trial is None:
            return
        cut_off = trial.cut_off + bool(trial.boot)
        if trial.boot == self._boot:
            self.reject("the program ended in its first minute without a word")
        elif cut_off >= MOST_STARTS:
            self.reject(f"{cut_off} starts were cut off in their first minute")
        elif not self._keep(replace(self.record, trial=replace(trial, cut_off=cut_off, boot=self._boot))):
            self.record = replace(self.record, now=self.record.before, trial=None)  # for this start only

    def propose(self, changes: Changes, online: tuple[str, ...]) -> bool:
        """Use *changes* from the next start on, on trial; whether the disk took that."""
        return self._keep(Record(now=changes, before=self.record.now, trial=Trial(online)))

    def reject(self, why: str) -> bool:
        """Return to what was there before; False when nothing is on trial."""
        if self.record.trial is None:
            return False
        logger.warning("settings: the change is taken back: %s", why)
        failed = {
            name: self.record.now.get(name, "")
            for name in {*self.record.now, *self.record.before}
            if self.record.now.get(name) != self.record.before.get(name)
        }
        new = Record(now=self.record.before, failed=failed, why=" ".join(why.split())[:200])
        if not self._keep(new):
            self.record = new
        return True

    def tend(self, now: float, sources: Mapping[str, str]) -> bool:
        """Judge what is on trial once it had its time; True when it was given up and the kit must begin anew.

        Args:
            now: seconds, on a steady clock.
            sources: the state of every source that ought to work now.
        """
        trial = self.record.trial
        if trial is None:
            return False
        self._since = now if self._since is None else self._since
        if now - self._since < HEALTHY_S:
            return False
        gone = [name for name in trial.online if sources.get(name, "online") != "online"]
        if gone:
            return self.reject(f"the {' and the '.join(gone)} did not come back")
        if self._keep(replace(self.record, before={}, trial=None)):
            logger.info("settings: what was changed has proved itself")
        return False

    def pause(self) -> None:
        """This start ended in good order: it counts neither for the change nor against it."""
        if self.record.trial is not None and self.record.trial.boot:
            self._keep(replace(self.record, trial=replace(self.record.trial, boot="")))

    def _keep(self, record: Record) -> bool:
        try:
            durable.replace(self._path, json.dumps(asdict(record)).encode())
        except OSError as error:
            logger.warning("settings: cannot be kept: %s", error)
            return False
        self.record = record
        return True

    def _read(self) -> Record:
        try:
            return _record(json.loads(self._path.read_bytes()))
        except FileNotFoundError:
            pass
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            logger.warning("settings: %s is not readable (%s); the file's are used", self._path, error)
        return Record()


def read_changes(path: Path) -> Changes:
    """A draft of changes, as ``write_changes`` wrote it.

    Raises:
        SettingsError: it is none.
    """
    try:
        return _changes(json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise SettingsError(f"{path}: {error}") from error


def write_changes(path: Path, changes: Changes) -> None:
    """A draft for another process to try.

    Raises:
        OSError: the disk refuses.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(changes), "utf-8")


def _record(table: Mapping[str, Any]) -> Record:
    trial = table["trial"]
    if trial is not None:
        trial = Trial(tuple(map(str, trial["online"])), int(trial["cut_off"]), str(trial["boot"]))
    kept = {name: _changes(table[name]) for name in ("now", "before", "failed")}
    return Record(**kept, trial=trial, why=str(table["why"]))


def _changes(table: Mapping[str, Any]) -> Changes:
    return {str(name): str(text) for name, text in table.items()}


def _boot_id() -> str:
    try:
        return BOOT_ID.read_text("ascii").strip()
    except OSError:
        return "unknown"  # every start counts as one of the same boot
