#!/bin/sh
# Installs this checkout as a kit:  sudo ./systemd/install.sh [SETTINGS.toml]
# It builds the Debian package (systemd/deb.sh) and lets apt install it, so that everything is upgraded and removed
# as any package is. Settings that are there already stay; SETTINGS.toml is put in place only where there are none.
set -eu
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || { echo "install.sh: needs root: sudo ./systemd/install.sh" >&2; exit 2; }
command -v apt-get >/dev/null || { echo "install.sh: needs Debian or Raspberry Pi OS" >&2; exit 2; }
if [ $# -gt 0 ]; then
    [ -r "$1" ] || { echo "install.sh: $1: no such file" >&2; exit 2; }
    if [ -e /etc/suasana/kit.toml ]; then
        echo "install.sh: /etc/suasana/kit.toml stays as it is; $1 is not used" >&2
    else
        install -D -m 644 "$1" /etc/suasana/kit.toml
    fi
fi
# Somebody's checkout does not become root's: what is built lies elsewhere and is thrown away.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"   # apt reads packages as a user of its own
cp -R edge dashboard models systemd docs setup.py pyproject.toml README.md CHANGELOG.md LICENSE "$work"
cd "$work"
PYTHON=none systemd/deb.sh --out "$work"
apt-get update -qq || true
DEBIAN_FRONTEND=noninteractive apt-get install -y "$work"/suasana_*.deb
