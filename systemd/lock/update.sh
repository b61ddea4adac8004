#!/bin/sh
# Writes anew what the package carries: pinned versions with the sha256 of every file, one list per Python.
# Run after a change of pyproject.toml's dependencies; needs uv (`pip install uv`).
set -eu
cd "$(dirname "$0")/../.."
lock() {
    uv pip compile --quiet --generate-hashes --no-annotate --no-header --no-emit-index-url \
        --python-version "$1" --python-platform aarch64-manylinux_2_28 --constraint systemd/lock/constraints.txt \
        --output-file "systemd/lock/python$1.txt" pyproject.toml
}
lock 3.11   # Debian 12 and Raspberry Pi OS Bookworm
lock 3.13   # Debian 13 and Raspberry Pi OS Trixie
