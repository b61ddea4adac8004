"""Does seeing starve hearing? ``python -m benchmarks.hearing [--json]``.

The kit's own lanes run on one core, first without a camera, then with one that delivers more than any
detector can take: 60 frames of the staged class a second, each searched in full and every face read, with no
budget to hold that back. Told is how late each block of sound is heard (from when it was due at the
microphone, which is a recording, until hearing is done with it) and how many were lost. Frames that were left
out prove that seeing wanted more than there was.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event as Flag

from edge.demo import speak
from edge.ears import Ears
from edge.kit import Kit
from edge.models import weights
from edge.settings import Camera, Faces, Load, Microphone, Outbox, Settings
from edge.sources import BLOCK_SAMPLES, replay_uri
from edge.supervisor import Supervisor, leave
from edge.types import RATE_HZ, AudioBlock, Observation

ROOT = Path(__file__).resolve().parent.parent
FEWEST_LOOKS = 3
BLOCK_S = BLOCK_SAMPLES / RATE_HZ
CAMERA = f"scene:{weights.FOLDER}?fps=60"


@dataclass(frozen=True, slots=True)
class Heard:
    """What hearing got done in one run."""

    camera: str
    seconds: float
    blocks: int
    lost_blocks: int
    late_p50_ms: float
    late_p95_ms: float
    late_worst_ms: float
    voice_readings: int
    looks: int
    frames_left_out: int


def main(argv: Sequence[str] | None = None) -> int:
    """Measure both and print; 1 if a block was lost."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hearing", description=__doc__)
    parser.add_argument(
        "--seconds", type=float, default=30, help="of sound, in each run (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON only")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--speech", type=Path, help="instead of what espeak-ng says")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        speech = arguments.speech or speak(Path(folder))
        if speech is None:
            print(
                "hearing: espeak-ng, which would speak, is not installed; give --speech FILE", file=sys.stderr
            )
            return 2
        if arguments.one:
            os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
            found = measure(arguments.one, speech, arguments.seconds, Path(folder))
            print(json.dumps(asdict(found)))
            leave(0)  # a look may still be under way
        both = [on_one_core(camera, speech, arguments.seconds) for camera in ("none", CAMERA)]
    print(json.dumps([asdict(one) for one in both], indent=2) if arguments.json else describe(both))
    return int(any(one.lost_blocks for one in both))


def on_one_core(camera: str, speech: Path, seconds: float) -> Heard:
    """In a process of its own that may use one core only, as a busy board's share."""
    words = [sys.executable, "-m", "benchmarks.hearing", "--one", camera, "--speech", str(speech)]
    done = subprocess.run(  # noqa: S603 -- our own words
        [*words, "--seconds", str(seconds)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return Heard(**json.loads(done.stdout.splitlines()[-1]))


def measure(camera: str, speech: Path, seconds: float, scratch: Path) -> Heard:
    """Run the lanes in this process until so much sound was heard or lost, beside a few looks."""
    settings = Settings(
        kit="hearing",
        mode="class",
        state_dir=str(scratch),
        camera=Camera(camera),
        microphone=Microphone(replay_uri(str(speech), loop=True)),
        faces=Faces(max_fps=60, reads_per_s=60),
        load=Load(cpu_percent=0, temperature_c=0),
        outbox=Outbox(keep="memory"),
    )
    stop = Flag()
    kit = Kit(settings, stop=stop)
    late_s: list[float] = []
    assert kit.ears is not None
    kit.ears = Noting(kit.ears, late_s)
    looks = 0 if kit.eyes is None else FEWEST_LOOKS
    voices = 0
    began = time.monotonic()
    with Supervisor(stop) as lanes:
        for name, work in kit.lanes():
            lanes.start(name, work)
        while (len(late_s) + kit.blocks.dropped) * BLOCK_S < seconds or kit.pace.frames < looks:
            item = kit.observations.get(timeout_s=0.2)
            voices += isinstance(item, Observation) and item.modality == "voice"
            lanes.check()
    late_s.sort()
    return Heard(
        camera=camera.partition(":")[0],
        seconds=round(time.monotonic() - began, 1),
        blocks=len(late_s),
        lost_blocks=kit.blocks.dropped,
        late_p50_ms=round(1000 * late_s[len(late_s) // 2], 1),
        late_p95_ms=round(1000 * late_s[int(len(late_s) * 0.95)], 1),
        late_worst_ms=round(1000 * late_s[-1], 1),
        voice_readings=voices,
        looks=kit.pace.frames,
        frames_left_out=kit.frames.dropped,
    )


class Noting(Ears):
    """The kit's ears, which note how late they are."""

    def __init__(self, ears: Ears, late_s: list[float]) -> None:
        """Hear as *ears* do, and add to *late_s* for each block."""
        self.__dict__.update(vars(ears))
        self._late_s = late_s

    def __call__(self, block: AudioBlock) -> list[Observation]:
        """See Ears."""
        found = super().__call__(block)
        self._late_s.append(time.monotonic() - block.at)
        return found


def describe(both: Sequence[Heard]) -> str:
    """A table for people."""
    rows = [asdict(one) for one in both]
    return "\n".join(
        f"{key.replace('_', ' '):<18}" + "".join(f"{row[key]:>10}" for row in rows) for key in rows[0]
    )


if __name__ == "__main__":
    sys.exit(main())
