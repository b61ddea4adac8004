#!/bin/sh
# The clip that the tests replay: the staged class as pictures and, where espeak-ng is installed, as sound.
#     clip.sh FOLDER       makes class.avi and speech.wav there, unless they are there already
set -eu
mkdir -p "$1"
folder=$(cd "$1" && pwd)
cd "$(dirname "$0")/../.."
[ -s "$folder/speech.wav" ] || systemd/debian-packages.sh espeak-ng
{ [ -s "$folder/class.avi" ] && [ -s "$folder/speech.wav" ]; } || "${PYTHON:-.venv/bin/python}" - "$folder" <<'EOF'
import shutil
import sys
from pathlib import Path

from benchmarks.footprint import film
from edge.demo import speak

folder = Path(sys.argv[1])
film(folder / "class.avi", seconds=6)
speech = speak(folder)
assert speech is not None, "espeak-ng did not speak"
if speech != folder / "speech.wav":
    shutil.move(speech, folder / "speech.wav")
EOF
