"""Does the kit run, and does systemd start it over and over?"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping

from edge.checks import Finding, Patient, finding

UNIT = "suasana.service"
MANY_RESTARTS = 3
"""So often since somebody started it by hand; a weak power supply alone gives one or two."""


def examine(patient: Patient) -> Iterator[Finding]:
    """One line: runs and answers, runs and does not answer, does not run, does not stay up."""
    if patient.twin and patient.settings is not None:
        yield finding("kit.twin", kit=patient.settings.kit_name)
    unit = _unit()
    restarts = int(unit.get("NRestarts", "0") or 0)
    if patient.running is not None and patient.running.info is None:
        yield finding("kit.mute")
    elif patient.running is not None and patient.running.info is not None:
        health = patient.running.health
        yield finding(
            "kit.ok",
            software=patient.running.info.software,
            fps=health.fps if health else 0.0,
            rss_mb=health.rss_mb if health else 0.0,
        )
    elif unit.get("ActiveState") == "failed" or unit.get("Result", "success") != "success":
        yield finding("kit.failed", result=unit.get("Result", "?"))
    else:
        yield finding("kit.idle")
    if restarts >= MANY_RESTARTS:
        yield finding("kit.restarts", restarts=restarts)


def _unit() -> Mapping[str, str]:
    """What systemd knows of the kit's unit; nothing where there is no systemd or no unit."""
    command = ["systemctl", "show", UNIT, "--property=LoadState,ActiveState,Result,NRestarts"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return {}
    told = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    return told if told.get("LoadState") == "loaded" else {}
