"""What an admin may have done to a kit from the page: settings changed, a model installed or taken back.

What takes longer than a tick is done by another process, one at a time, and answered when that has ended. The
kit then ends gracefully and begins anew: on trial, with what was changed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from edge.checks import in_indonesian
from edge.contract.commands import (
    Answer,
    Command,
    ModelState,
    PartRequest,
    Tuning,
    read_changes,
    read_model,
    read_part,
    read_request,
    transaction_of,
)
from edge.kit import Kit
from edge.manifest import Manifest
from edge.models import choice
from edge.models.package import MAX_BYTES, SUFFIX
from edge.reload import Reload
from edge.tuning import Tuned, describe, plan, write_changes
from edge.types import EdgeError, ModelError, SettingsError

logger = logging.getLogger(__name__)

PATIENCE_S = 180.0
"""For one errand: a slow board loads both models twice and asks each its golden questions."""
LONGEST_CARD = 24_000
INCOMING = "incoming-"
"""How a package begins to be called that came from afar, in the state folder, until it is installed."""
INSTALL = "import sys; sys.path[:] = {path!r}; from edge.models.catalogue import main; main()"
"""The child gets our module path, and nothing from the folder that it happens to start in."""

Sources = Mapping[str, str]


@dataclass(slots=True)
class Errand:
    """What another process does for one command."""

    command: Command
    done: Callable[[str], Answer]
    """Makes the answer of what went wrong; of nothing when it went well."""
    process: subprocess.Popen[bytes]
    noise: IO[bytes]
    until: float | None = None


@dataclass(slots=True)
class Parcel:
    """A package that comes in parts."""

    sha256: str
    size: int
    data: bytearray = field(default_factory=bytearray)


class Upkeep:
    """Answers what concerns settings and models. A context manager: leaving it ends an errand."""

    def __init__(self, kit: Kit, reload: Reload | None = None, tuned: Tuned | None = None) -> None:
        """Look after *kit*; without *reload* and *tuned* it cannot begin anew, and nothing can be changed."""
        self._kit, self._reload, self._tuned = kit, reload, tuned
        self._errand: Errand | None = None
        self._parcel: Parcel | None = None
        self._verbs: Mapping[str, Callable[[Command, Sources], Answer | None]] = {
            "settings": self._show,
            "settings-change": self._change,
            "models": self._list,
            "model-part": self._take_part,
            "model-rollback": self._roll_back,
        }

    def knows(self, verb: str) -> bool:
        """Whether this is ours to answer."""
        return verb in self._verbs

    def answer(self, verb: str, command: Command, sources: Sources) -> Answer | None:
        """What comes of a request; None when the answer follows from ``tend``.

        Raises:
            EventError: the request makes no sense.
        """
        try:
            return self._verbs[verb](command, sources)
        except EdgeError as error:
            return _refuse(command, str(error))

    def tend(self, now: float, sources: Sources) -> Iterator[tuple[Command, Answer]]:
        """Answers that have come by now; begins the kit anew where that is due."""
        if self._tuned is not None and self._tuned.tend(now, sources) and self._reload is not None:
            self._reload.renew()
        errand = self._errand
        if errand is None:
            return
        errand.until = now + PATIENCE_S if errand.until is None else errand.until
        code = errand.process.poll()
        if code is None and now < errand.until:
            return
        self._errand = None
        yield errand.command, errand.done("" if code == 0 else _complaint(errand, code))
        errand.noise.close()

    def __enter__(self) -> Upkeep:
        """Remove what an installation left that was cut off."""
        for left in self._kit.settings.state_folder.glob(f"{INCOMING}*{SUFFIX}"):
            with suppress(OSError):
                left.unlink()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._errand is not None:
            self._errand.process.kill()
            self._errand.process.wait()
            self._errand.noise.close()
            self._errand = None

    # ── Settings ─────────────────────────────────────────────────────────────────────────────────────

    def _show(self, command: Command, _sources: Sources) -> Answer:
        return self._settings(read_request(command).transaction)

    def _change(self, command: Command, sources: Sources) -> Answer | None:
        """Try the new settings in another process, keep them, and begin anew with them."""
        wish = read_changes(command)
        tuned, reload = self._able()
        changes = plan(tuned.base, tuned.record.now, wish.changes)
        if changes == tuned.record.now:
            return self._settings(wish.transaction, begins_anew=False)
        if self._is_repeated(command):
            return None
        online = tuple(name for name, status in sources.items() if status == "online")
        draft = self._kit.settings.state_folder / "settings.draft"
        try:
            write_changes(draft, changes)
        except OSError as error:
            raise SettingsError(f"{draft}: {error.strerror or error}") from error

        def done(problem: str) -> Answer:
            draft.unlink(missing_ok=True)
            if not problem and not tuned.propose(changes, online):
                problem = "the disk refuses to keep it"
            if problem:
                return _refuse(command, problem)
            logger.info("settings: changed from the page; beginning anew with them")
            reload.renew()
            return self._settings(wish.transaction, begins_anew=True)

        self._send_out(command, [*reload.trying, "--changes", str(draft)], done)
        return None

    def _settings(self, transaction: str, *, begins_anew: bool | None = None) -> Answer:
        if self._tuned is None:
            raise SettingsError(FIXED)
        record = self._tuned.record
        return Answer(
            ok=True,
            transaction=transaction,
            settings=describe(self._tuned.base, self._tuned.settings),  # with what was just changed
            tuning=Tuning(record.trial is not None, record.failed, _in_words(record.why)),
            begins_anew=begins_anew,
        )

    def _able(self) -> tuple[Tuned, Reload]:
        if self._tuned is None or self._reload is None:
            raise SettingsError(FIXED)
        return self._tuned, self._reload

    # ── Models ───────────────────────────────────────────────────────────────────────────────────────

    def _list(self, command: Command, _sources: Sources) -> Answer:
        return self._models(read_request(command).transaction)

    def _models(self, transaction: str, *, begins_anew: bool | None = None) -> Answer:
        return Answer(
            ok=True,
            transaction=transaction,
            models=tuple(self._states()),
            updates=self._kit.settings.updates.remote,
            begins_anew=begins_anew,
        )

    def _states(self) -> Iterator[ModelState]:
        shelf = choice.shelf_of(self._kit.settings)
        for one in (self._kit.eyes, self._kit.ears):
            if one is None:
                continue
            model, record = one.model, shelf.record(one.model.name)
            shipped = choice.shipped_model(model.name)
            before = record.previous or (shipped.version if shipped else "")
            yield ModelState(
                name=model.name,
                version=model.version,
                task="expression" if model.task == "expression" else "tone",
                shipped=not model.folder.is_relative_to(shelf.folder),
                trial=record.trial is not None,
                back_to=before if record.current and before else None,
                failed=record.failed,
                why=_in_words(record.why),
                metrics=_metrics(model),
                card=_card(model),
            )

    def _take_part(self, command: Command, _sources: Sources) -> Answer | None:
        """Put the parts together; a whole package is installed by another process."""
        part = read_part(command)
        self._check_updates()
        if self._is_repeated(command):
            return None
        parcel = self._parcel_of(part)
        if part.at == len(parcel.data):
            try:
                parcel.data += base64.b64decode(part.data, validate=True)
            except (ValueError, binascii.Error) as error:
                raise ModelError("the part is not in base64") from error
        if len(parcel.data) < parcel.size:
            return Answer(ok=True, transaction=part.transaction, have=len(parcel.data))
        self._parcel = None
        if len(parcel.data) > parcel.size or hashlib.sha256(parcel.data).hexdigest() != part.sha256:
            raise ModelError("the package did not arrive as it was sent")
        self._install(command, part.transaction, bytes(parcel.data))
        return None

    def _parcel_of(self, part: PartRequest) -> Parcel:
        if part.size > MAX_BYTES:
            raise ModelError(f"the package is larger than {MAX_BYTES // 2**20} MiB")
        parcel = self._parcel
        if part.at == 0 or parcel is None or (parcel.sha256, parcel.size) != (part.sha256, part.size):
            if part.at:
                raise ModelError("the package's beginning is missing: send it anew")
            parcel = self._parcel = Parcel(part.sha256, part.size)
        if part.at > len(parcel.data):
            raise ModelError("a part of the package is missing: send it anew")
        return parcel

    def _install(self, command: Command, transaction: str, data: bytes) -> None:
        _, reload = self._able()
        try:
            with tempfile.NamedTemporaryFile(
                prefix=INCOMING, suffix=SUFFIX, dir=self._kit.settings.state_folder, delete=False
            ) as file:
                file.write(data)
        except OSError as error:
            raise ModelError(f"the package cannot be kept: {error.strerror or error}") from error
        path = Path(file.name)

        def done(problem: str) -> Answer:
            path.unlink(missing_ok=True)
            if problem:
                return _refuse(command, problem)
            logger.info("models: one was installed from the page; beginning anew with it")
            reload.renew()
            return Answer(ok=True, transaction=transaction, have=len(data), begins_anew=True)

        code = [sys.executable, "-I", "-c", INSTALL.format(path=sys.path)]
        self._send_out(command, code, done, told=(self._kit.settings, str(path)))

    def _roll_back(self, command: Command, _sources: Sources) -> Answer:
        wish = read_model(command)
        self._check_updates()
        _, reload = self._able()
        shelf = choice.shelf_of(self._kit.settings)
        if wish.name not in shelf.names():
            raise ModelError(f"{wish.name[:60]}: the shipped model is in use; there is nothing to roll back")
        shelf.roll_back(wish.name)
        logger.info("models: %s was rolled back from the page; beginning anew", wish.name)
        reload.renew()
        return self._models(wish.transaction, begins_anew=True)

    def _check_updates(self) -> None:
        self._able()
        if not self._kit.settings.updates.remote:
            raise ModelError(
                "this kit takes models at its own command line only; updates.remote = true in its settings "
                "lets an admin of the dashboard install them"
            )

    # ── Errands ──────────────────────────────────────────────────────────────────────────────────────

    def _is_repeated(self, command: Command) -> bool:
        """Whether the broker delivered a command twice whose answer is on its way.

        Raises:
            SettingsError: something else is under way.
        """
        if self._errand is None:
            return False
        if self._errand.command.payload == command.payload:
            return True
        raise SettingsError("another change is under way; wait until it is done")

    def _send_out(
        self, command: Command, line: Sequence[str], done: Callable[[str], Answer], told: Any = None
    ) -> None:
        noise: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 -- closed with the errand
        process = subprocess.Popen(  # noqa: S603 -- our own words
            line,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=noise,
        )
        assert process.stdin is not None
        with suppress(BrokenPipeError), process.stdin as pipe:
            pickle.dump(told, pipe)
        self._errand = Errand(command, done, process, noise)


FIXED = "this kit cannot begin anew by itself, so nothing can be changed from here: is it a demonstration?"


def _refuse(command: Command, problem: str) -> Answer:
    return Answer(ok=False, transaction=transaction_of(command) or "", error=problem, why=_in_words(problem))


def _in_words(reason: str) -> dict[str, str]:
    return {"id": in_indonesian(reason), "en": reason} if reason else {}


def _complaint(errand: Errand, code: int | None) -> str:
    """The last line that the other process wrote, or how it ended."""
    if code is None:
        errand.process.kill()
        return f"not done after {PATIENCE_S:.0f} s"
    errand.noise.seek(0)
    lines = errand.noise.read().decode("utf-8", "replace").strip().splitlines()
    return lines[-1].removeprefix("suasana: ")[:300] if lines else f"it ended with {code}"


def _metrics(model: Manifest) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in model.metrics.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def _card(model: Manifest) -> str:
    try:
        return (model.folder / "MODEL_CARD.md").read_text("utf-8", "replace")[:LONGEST_CARD]
    except OSError:
        return ""
