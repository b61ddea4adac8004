#!/bin/sh
# Installs the named Debian packages that are missing, when we are root or may sudo without being asked;
# says in one line what is missing when we may not. `--wish` makes a missing package no failure.
set -eu
wish=0
if [ "${1:-}" = "--wish" ]; then wish=1; shift; fi
missing=""
for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q "ok installed" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
command -v apt-get >/dev/null || { echo "missing:$missing (no apt-get here: install them by hand)" >&2; exit $((1 - wish)); }
if [ "$(id -u)" = 0 ]; then
    sudo=""
elif sudo -n true 2>/dev/null; then
    sudo="sudo"
else
    echo "missing:$missing (run: sudo apt-get install$missing)" >&2
    exit $((1 - wish))
fi
echo "Installing Debian packages:$missing"
log=$(mktemp)
# shellcheck disable=SC2086 # the list is meant to be split
if $sudo apt-get update -qq >"$log" 2>&1 &&
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >>"$log" 2>&1
then
    rm -f "$log"
else
    tail -n 3 "$log" >&2
    echo "could not install:$missing" >&2
    exit $((1 - wish))
fi
