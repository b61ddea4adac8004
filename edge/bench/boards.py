"""What a board that nobody measured would take: a model, and marked as one everywhere.

A stage's processor time here is carried over by how fast both multiply and add in float32: this core's rate
is measured in the same run, a board's is its published Linpack result per core. Linpack counts additions and
multiplications of float64 apart, so its figure for float64 is about the rate of float32 multiply-adds. int8
counts as float32: cores without dot-product instructions gain little, and the others are better than told.

It is tested on the one published time that fits: MobileFaceNet on a Raspberry Pi 4, OpenCV Zoo's table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LINPACK = "https://github.com/geerlingguy/top500-benchmark"
"""HPL on all four cores, README of commit 0137a2e."""
ZOO = "https://github.com/opencv/opencv_zoo/tree/main/benchmark"
"""Raspberry Pi 4B (CPU), OpenCV 4.7, README of commit 00e0923."""
ZOO_PI4_MS = {"yunet_160x120": 5.41, "mobilefacenet_112": 32.51}
"""Medians of that table; OpenCV uses all four cores."""


@dataclass(frozen=True, slots=True)
class Board:
    """What is published about one."""

    name: str
    cores: int
    linpack_gflops: float
    """float64, all cores."""
    bandwidth_gb_s: float
    """Of its memory, by the data sheet."""
    source: str

    @property
    def gmacs(self) -> float:
        """float32 multiply-adds a second of one core, in 10^9, by the reasoning above."""
        return self.linpack_gflops / self.cores


BOARDS = (
    Board("Raspberry Pi 4", 4, 11.889, 12.8, f"{LINPACK}: Raspberry Pi 4 at 1.8 GHz; LPDDR4-3200 on 32 bits"),
    Board(
        "Raspberry Pi 5", 4, 30.249, 17.1, f"{LINPACK}: Raspberry Pi 5 at 2.4 GHz; LPDDR4X-4267 on 32 bits"
    ),
    Board(
        "Jetson Orin Nano, processor only",
        6,
        30.249 / 4 / 2.4 * 1.5 * 6,
        68.0,
        "six Cortex-A78AE at 1.5 GHz and 68 GB/s by NVIDIA's data sheet; per clock as fast as the Pi 5's "
        "A76, which has as many 128 bit pipes",
    ),
)


def carry_over(
    stages: Mapping[str, Mapping[str, float]], float_gmacs: float, picture_bytes: Mapping[str, float]
) -> list[dict[str, Any]]:
    """Per board: processor seconds per second of every stage, and what memory alone would need.

    Args:
        stages: measured here, ``cpu_s_per_s`` of each.
        float_gmacs: this core's measured rate.
        picture_bytes: bytes per second that a stage moves at least: weights and pictures.
    """
    return [
        {
            "board": board.name,
            "modelled": True,
            "source": board.source,
            "core_gmacs": round(board.gmacs, 2),
            "times_slower": round(float_gmacs / board.gmacs, 1),
            "cpu_s_per_s": {
                name: round(
                    max(
                        stage["cpu_s_per_s"] * float_gmacs / board.gmacs,
                        picture_bytes.get(name, 0) / board.bandwidth_gb_s / 1e9,
                    ),
                    4,
                )
                for name, stage in stages.items()
            },
            "cores_of_all": round(
                sum(stage["cpu_s_per_s"] for stage in stages.values())
                * float_gmacs
                / board.gmacs
                / board.cores,
                3,
            ),
        }
        for board in BOARDS
    ]


def judge(float_gmacs: float, mobilefacenet_ms: float) -> dict[str, Any]:
    """The model's word on MobileFaceNet on a Raspberry Pi 4, beside the published time."""
    pi4 = BOARDS[0]
    modelled = mobilefacenet_ms * float_gmacs / pi4.gmacs / pi4.cores
    published = ZOO_PI4_MS["mobilefacenet_112"]
    return {
        "what": "MobileFaceNet at 112 pixels on a Raspberry Pi 4, all cores",
        "modelled_ms": round(modelled, 1),
        "published_ms": published,
        "modelled_over_published": round(modelled / published, 2),
        "source": ZOO,
    }
