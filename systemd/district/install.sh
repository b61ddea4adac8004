#!/bin/sh
# Installs a district's ingester on a server from this checkout:  sudo systemd/district/install.sh
# An environment of its own in /opt/suasana with the drivers of the extra `district`, the units and their manual. A kit's
# package carries none of it. Settings that are there already stay. ROOT=DIR installs into DIR and starts nothing;
# ENVIRONMENT=none leaves the environment to somebody else.
set -eu
cd "$(dirname "$0")/../.."
root=${ROOT:-}
home=/opt/suasana
[ -n "$root" ] || [ "$(id -u)" = 0 ] || { echo "install.sh: needs root: sudo $0" >&2; exit 2; }
if [ "${ENVIRONMENT:-}" != none ]; then
    # From a copy: somebody's checkout does not become root's.
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    cp -R edge dashboard models setup.py pyproject.toml README.md LICENSE "$work"
    [ -x "$root$home/bin/python3" ] || python3 -m venv "$root$home"
    "$root$home/bin/python3" -m pip --quiet --disable-pip-version-check install --upgrade "${work}[district]"
fi
put() { install -D -m "$1" "$2" "$root$3"; }
put 644 docs/scale.md $home/share/doc/scale.md
put 644 systemd/district/rabbitmq.conf $home/share/doc/rabbitmq.conf
put 644 systemd/district/tls.conf $home/share/doc/tls.conf
for unit in suasana-ingest@.service suasana-days.service suasana-days.timer; do
    put 644 "systemd/district/$unit" "/etc/systemd/system/$unit"
done
if [ ! -e "$root/etc/suasana/district.env" ]; then
    install -d -m 755 "$root/etc/suasana"
    (umask 077 && cat >"$root/etc/suasana/district.env") <<'END'
# Read by suasana-ingest@.service and suasana-days.service; not for everybody to read.
SUASANA_AMQP_PASSWORD=
PGPASSWORD=
INGEST_OPTIONS=--amqp amqps://suasana_ingest@NODE1,NODE2,NODE3 --amqp-ca /opt/suasana/ca.pem --database postgresql://suasana_ingest@HOST/suasana
DAYS_OPTIONS=--database postgresql://suasana_ingest@HOST/suasana --keep-days 30
END
fi
[ -z "$root" ] || exit 0
systemctl daemon-reload
echo "now: fill in /etc/suasana/district.env, then"
echo "     systemctl enable --now suasana-ingest@1 suasana-ingest@2 suasana-days.timer"
