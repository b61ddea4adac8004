"""Keeps the converters' progress, debug lines and advice on their own internals off our users' terminal."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Nothing written inside reaches the terminal, by Python or by C++; exceptions pass."""
    level = logging.root.manager.disable
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    with (
        tempfile.TemporaryFile() as swallowed,
        Path(os.devnull).open("w", encoding="utf-8") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        # Half of it is written by C++ libraries, so the descriptors have to point elsewhere too.
        os.dup2(swallowed.fileno(), 1)
        os.dup2(swallowed.fileno(), 2)
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os.dup2(kept[0], 1)
            os.dup2(kept[1], 2)
            os.close(kept[0])
            os.close(kept[1])
            logging.disable(level)
