"""``suasana`` on a board without a clock battery: ``python -m benchmarks.faults.clockless FILE …``.

Everything is the daemon's own but the kernel's word on whether the time is known: it is once FILE is there.
(What the time is, libfaketime decides.)
"""

from __future__ import annotations

import sys
from pathlib import Path

from edge import stamp
from edge.__main__ import main

if __name__ == "__main__":
    known = Path(sys.argv.pop(1))
    stamp.time_quality = lambda: "synced" if known.exists() else "unsynced"
    sys.exit(main())
