"""Raise the load step by step until the first part of a rung is full, and say which.

A step is too much once windows come later and later, the broker's queue grows, or one part never rests. Which
part was full is read from that step; what a window costs, and so how many kits a core carries, from the last
step that held.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from benchmarks.scale.course import KITS, Course, Phase, Told

STEP_S = 8.0
STEPS = 14
"""At most; the load is a thousand times the first one by then."""
FACTOR = (1.25, 8.0)
"""Between two steps: the nearer the fullest part is to full, the smaller."""
TARGET = 0.85
"""How full the next step should make the fullest part."""
LATE_S, TOO_LATE_S = 2.0, 3.0
"""How long the oldest window that is not stored has waited, if it is ever longer, and anyway; a second and a
half where all is well."""
FULL = 0.95
"""Busy for so much of the time that nothing more can be asked of it."""
NEARLY = 0.85
"""Called full in a step in which windows came late."""
MADE = 0.9
"""Of the windows that were wanted; fewer, and the kits' own process or the machine is what is full."""
MACHINE, OTHERS = "machine", "others"
OWN = 0.7
"""Part of the processors' time that our programs must have taken for the machine to be full of them."""
PROCESSORS = os.cpu_count() or 1


@dataclass(slots=True)
class Ramp:
    """The steps of one rung, the first of them as they were found."""

    phases: list[Phase]
    steps: list[dict[str, Any]]

    def complete(self, course: Course) -> dict[str, Any]:
        """The result, once everything is stored."""
        steps = [step | course.waits(phase) for phase, step in zip(self.phases, self.steps, strict=True)]
        return judge_anew({"kits": course.load.kits, "steps": steps})


def climb(
    course: Course, quiet: Mapping[str, float], calm: Phase, told: Told, step_s: float = STEP_S
) -> Ramp:
    """From the load of *calm* upwards; afterwards the rate is the first one again."""
    kits, rate = course.load.kits, course.load.rate
    still = {"middle": 0.0, "end": 0.0}
    first = {"wanted_per_s": kits * rate, **course.costs(calm, quiet), "behind_s": still}
    ramp = Ramp([calm], [first | {"more_unacknowledged": 0, "too_much": []}])
    while len(ramp.steps) < STEPS and not ramp.steps[-1]["too_much"]:
        rate *= next_factor(ramp.steps[-1])
        course.change_rate(rate)
        phase, step = _perform(course, quiet, kits * rate, step_s)
        ramp.phases.append(phase)
        ramp.steps.append(step)
        told(f"{course.rung.name}: {describe(step)}")
    course.say_rate(course.load.rate)
    course.calm_down()
    return ramp


def _perform(
    course: Course, quiet: Mapping[str, float], wanted: float, step_s: float
) -> tuple[Phase, dict[str, Any]]:
    waiting = course.unacknowledged()
    first = course.hold(step_s / 2)
    middle = course.behind_s()
    second = course.hold(step_s / 2)
    late, more = course.behind_s(), course.unacknowledged() - waiting
    phase = Phase(first.began, second.ended)
    step = {"wanted_per_s": round(wanted, 2), **course.costs(phase, quiet)}
    step |= {"behind_s": {"middle": round(middle, 2), "end": round(late, 2)}, "more_unacknowledged": more}
    return phase, step | {"too_much": too_much(step)}


def too_much(step: Mapping[str, Any]) -> list[str]:
    """Why a step is more than the rung carries; empty if it holds."""
    found, behind, queue = [], step["behind_s"], step["queue"]
    a_second = step["wanted_per_s"]
    if behind["end"] > LATE_S and behind["end"] > behind["middle"]:
        found.append("windows are stored later and later")
    elif behind["end"] > TOO_LATE_S:
        found.append("windows are stored late")
    if step["more_unacknowledged"] > a_second:
        found.append("more and more wait for the broker")
    if queue and queue["last"] - queue["first"] > a_second:
        found.append("the queue grows")
    if step["windows_per_s"] < MADE * step["wanted_per_s"]:
        found.append("fewer windows are made than wanted")
    found += [f"{part} never rests" for part, share in step["busy"].items() if share >= FULL]
    return found


def judge_anew(climb: dict[str, Any]) -> dict[str, Any]:
    """A ramp whose steps are judged by what was measured, whatever was thought of them before."""
    steps = [step | {"too_much": too_much(step)} for step in climb["steps"]]
    return climb | {"steps": steps} | judge(steps)


def next_factor(step: Mapping[str, Any]) -> float:
    """How much more to ask for after *step*."""
    fullest = max([used(step) / PROCESSORS, *step["busy"].values()])
    return float(min(FACTOR[1], max(FACTOR[0], TARGET / max(fullest, 1e-9))))


def used(step: Mapping[str, Any]) -> float:
    """Processors that the rung's programs and the simulated kits had."""
    kits = step["simulator_cpu_ms_per_window"] * step["windows_per_s"] / 1000
    return float(sum(step["cores"].values()) + kits)


def judge(steps: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What was full first, and what the last step that held cost.

    Returns:
        ``full``: a part; MACHINE if all processors were used and no part by itself was full, OTHERS if they
        were used by somebody else; KITS if it was the simulator; None if nothing was. Loads in windows a
        second, None where no step held or failed.
    """
    held = list(takewhile(lambda step: not step["too_much"], steps))
    failed = steps[len(held)] if len(held) < len(steps) else None
    found: dict[str, Any] = {
        "holds_per_s": held[-1]["windows_per_s"] if held else None,
        "fails_per_s": failed["windows_per_s"] if failed else None,
        "ms_per_window": round(sum(held[-1]["cpu_ms_per_window"].values()), 3) if held else None,
        "full": None,
    }
    if failed is None:
        return found
    busy = {part: share for part, share in failed["busy"].items() if share >= NEARLY}
    rung = {part: share for part, share in busy.items() if part != KITS}
    if rung:
        found["full"] = max(rung, key=lambda part: rung[part])
    elif failed["idle"] < 1 - NEARLY:
        found["full"] = MACHINE if used(failed) >= OWN * PROCESSORS else OTHERS
    elif KITS in busy:
        found["full"] = KITS
    return found


def describe(step: Mapping[str, Any]) -> str:
    """One line for who waits."""
    busy = ", ".join(f"{part} {share:.0%}" for part, share in step["busy"].items())
    words = f"{step['windows_per_s']:g} windows/s, {step['behind_s']['end']:g} s behind, busy: {busy}"
    return words + (f"; too much: {', '.join(step['too_much'])}" if step["too_much"] else "")
