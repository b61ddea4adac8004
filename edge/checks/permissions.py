"""May the kit's user open cameras, microphones and pins? On Debian that is a matter of groups."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Iterator

from edge.checks import Finding, Patient, finding, read

SERVICE = "suasana"
"""The user that systemd runs the kit as, where it was installed."""
UNITS = tuple(f"{folder}/systemd/system/suasana.service" for folder in ("etc", "usr/lib", "lib"))


def examine(patient: Patient) -> Iterator[Finding]:
    """One line per group that is missing, or one that none is."""
    wanted = ["video", "audio"]
    if patient.settings is not None:
        wanted = [
            group
            for group, needed in (
                ("video", patient.settings.camera.uri.startswith(("opencv:", "picamera2:"))),
                ("audio", patient.settings.microphone.uri.startswith("pyaudio:")),
                ("gpio", patient.settings.panel.button or patient.settings.panel.led),
            )
            if needed
        ]
    user, groups = _whose(patient)
    if user == "root":
        yield finding("permissions.root")
        return
    missing = [group for group in wanted if group not in groups and _exists(group)]
    for group in missing:
        yield finding("permissions.missing", user=user, group=group)
    if not missing:
        yield finding("permissions.ok", user=user, groups=", ".join(wanted) or "-")


def _whose(patient: Patient) -> tuple[str, set[str]]:
    """The user that the kit runs as, and the user's groups, those that its unit adds among them."""
    try:
        user = pwd.getpwnam(SERVICE) if _unit(patient) else pwd.getpwuid(os.getuid())
    except KeyError:
        return str(os.getuid()), set()
    numbers = set(os.getgrouplist(user.pw_name, user.pw_gid))
    if user.pw_uid == os.getuid():
        numbers |= set(os.getgroups())
    names = {entry.gr_name for entry in grp.getgrall() if entry.gr_gid in numbers}
    for line in _unit(patient).splitlines():
        if line.startswith("SupplementaryGroups="):
            names |= set(line.partition("=")[2].split())
    return user.pw_name, names


def _unit(patient: Patient) -> str:
    return next(filter(None, (read(patient.root / unit) for unit in UNITS)), "")


def _exists(group: str) -> bool:
    try:
        grp.getgrnam(group)
    except KeyError:
        return False
    return True
