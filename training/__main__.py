"""``python -m training face|voice …``: hands the rest of the line to the task's own commands."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from edge.types import EdgeError

TASKS = {"face": "training.face.commands", "voice": "training.voice.commands"}
"""Each module answers to ``main(arguments)`` and is imported only when asked for."""


def main(arguments: Sequence[str]) -> int:
    """Run one task's command line; 2 stands for anything the user can put right."""
    if not arguments or arguments[0] not in TASKS:
        asked_for_help = bool(arguments) and arguments[0] in {"-h", "--help"}
        print(
            "usage: python -m training {face,voice} COMMAND …\n"
            "       python -m training face --help lists the commands of the expression model,\n"
            "       python -m training voice --help those of the tone model.",
            file=sys.stdout if asked_for_help else sys.stderr,
        )
        return 0 if asked_for_help else 2
    try:
        task = importlib.import_module(TASKS[arguments[0]])
        code: int = task.main(arguments[1:])
    except EdgeError as error:
        print(f"training: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] in {"edge", "training"}:
            raise
        print(f"training: needs {error.name}; `make train-env` installs it", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("training: stopped; the same command goes on from the last whole epoch", file=sys.stderr)
        return 130
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
