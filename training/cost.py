"""What training a model cost: hours, energy, carbon; estimated from the time, and every assumption is here.

Training leaves ``cost.json`` in its run folder, ``{"seconds": 5400.0, "threads": 2, "device": "CPU"}``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.types import SettingsError

FILE = "cost.json"
WATTS_PER_CORE = 10.0
"""Of a busy server core with its part of memory, board and power supply; a guess on the high side."""
WATTS_BY_DEVICE = {"H200": 700.0, "H100": 700.0, "A100": 400.0}
"""Rated board power, which training stays below; by a part of the device's name."""
WATTS_OTHER_DEVICE = 350.0
OVERHEAD = 1.5
"""Cooling and losses of the building: total over computing (PUE), the industry's usual average."""
GRID_KG_PER_KWH = 0.68
"""Carbon intensity of Indonesia's electricity, CO2 equivalent; Ember, yearly figure for 2023."""


@dataclass(frozen=True, slots=True)
class Cost:
    """The time that one run took, and on what."""

    seconds: float
    threads: int
    """Of each process."""
    device: str
    """``CPU``, or what the accelerator calls itself; ``2 x …`` where as many processes shared the work."""

    def watts(self, watts_per_core: float = WATTS_PER_CORE) -> float:
        """Power drawn meanwhile, without the building's overhead."""
        shared = re.match(r"(\d+) x (.+)", self.device)
        count, device = (int(shared[1]), shared[2]) if shared else (1, self.device)
        return count * (self.threads * watts_per_core + _accelerator_watts(device))


def load(run: Path) -> Cost:
    """Read the cost of a run.

    Raises:
        SettingsError: the folder holds none, or it is not what training writes.
    """
    path = run / FILE
    try:
        raw = json.loads(path.read_text("utf-8"))
        cost = Cost(float(raw["seconds"]), int(raw["threads"]), str(raw["device"]))
    except FileNotFoundError:
        raise SettingsError(f"{path}: not found; training writes it") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(f"{path}: not the cost of a run ({error!r})") from error
    if cost.seconds < 0 or cost.threads < 0:
        raise SettingsError(f"{path}: time and threads cannot be below 0")
    return cost


def kwh(costs: Iterable[Cost], watts_per_core: float = WATTS_PER_CORE) -> float:
    """Energy of some runs with the building's overhead, kilowatt hours."""
    return sum(one.seconds / 3600 * one.watts(watts_per_core) for one in costs) / 1000 * OVERHEAD


def co2e_g(energy_kwh: float, grid_kg_per_kwh: float = GRID_KG_PER_KWH) -> float:
    """Grams of CO2 equivalent that generating the energy set free."""
    return 1000 * energy_kwh * grid_kg_per_kwh


def summarise(costs: list[Cost]) -> dict[str, Any]:
    """The runs that made one model, as a table with the assumptions in it."""
    energy = kwh(costs)
    return {
        "runs": len(costs),
        "hours": round(sum(one.seconds for one in costs) / 3600, 2),
        "devices": sorted({_name(one) for one in costs}),
        "kwh": round(energy, 3),
        "co2e_g": round(co2e_g(energy), 1),
        "watts_per_core": WATTS_PER_CORE,
        "overhead": OVERHEAD,
        "grid_kg_per_kwh": GRID_KG_PER_KWH,
    }


def _name(cost: Cost) -> str:
    threads = f"{cost.threads} threads"
    return f"{cost.device}, {threads}"


def _accelerator_watts(device: str) -> float:
    if device.lower() == "cpu":
        return 0.0
    return next((watts for part, watts in WATTS_BY_DEVICE.items() if part in device), WATTS_OTHER_DEVICE)
