#!/bin/sh
# Gives the kit and the teacher's page a name and a random password each at this machine's Mosquitto.
# The package runs it; run it again (as root) after the kit's name was changed in /etc/suasana/kit.toml.
set -eu
umask 077
settings=/etc/suasana
broker=/etc/mosquitto
page=teacher_page
passwords=$broker/suasana.passwd

kit=$(/usr/lib/suasana/bin/python3 - "$settings/kit.toml" <<'EOF'
import sys
from pathlib import Path

from edge.settings import load
from edge.types import EdgeError

try:
    print(load(Path(sys.argv[1])).kit_name)
except EdgeError as error:
    sys.exit(f"suasana: {error}")
EOF
) || { echo "suasana: the broker is left as it is until the settings are right (then run $0)" >&2; exit 0; }

# Somebody's own Mosquitto is not touched: a second password file would keep it from starting.
own=$(grep -lsE '^[[:space:]]*(listener|port|allow_anonymous|password_file|acl_file|per_listener_settings|plugin|auth_plugin)[[:space:]]' \
    $broker/mosquitto.conf $broker/conf.d/*.conf | grep -v '/suasana\.conf$' || true)
if [ -n "$own" ]; then
    echo "suasana: $(echo "$own" | head -n 1) already decides who may use the broker: it is left as it is;" \
        "/usr/share/doc/suasana/install.md tells what the kit needs" >&2
    exit 0
fi

fresh=""
secret() { head -c 24 /dev/urandom | base64 | tr '+/' '-_'; }
if [ ! -s $settings/mqtt.password ]; then
    secret >$settings/mqtt.password
    fresh="$fresh $kit"
fi
if [ ! -s $settings/dashboard.env ]; then
    cat >$settings/dashboard.env <<EOF
# Read by suasana-dashboard.service. The first set-up wants the code that \`journalctl -u suasana-dashboard\` shows.
# With --host 0.0.0.0 phones can open the page; give --tls-cert and --tls-key too, or passwords cross the network bare.
SUASANA_MQTT_PASSWORD=$(secret)
DASHBOARD_OPTIONS=--mqtt mqtt://$page@127.0.0.1:1883 --host 127.0.0.1 --port 8765
EOF
    fresh="$fresh $page"
fi
systemd-tmpfiles --create suasana.conf

# One line of the broker's password file; other kits' lines stay as they are.
admit() {
    case " $fresh " in
        *" $1 "*) ;;
        *) ! grep -qs "^$1:" $passwords || return 0 ;;
    esac
    printf '%s:%s\n' "$1" "$2" >$passwords.one
    mosquitto_passwd -U $passwords.one
    [ ! -e $passwords ] || grep -v "^$1:" $passwords >>$passwords.one || true
    chown mosquitto:mosquitto $passwords.one   # 2.0.21 complains about any other owner, later ones will refuse
    chmod 640 $passwords.one
    mv $passwords.one $passwords
    changed=yes
}
changed=""
admit "$kit" "$(cat $settings/mqtt.password)"
admit $page "$(sed -n 's/^SUASANA_MQTT_PASSWORD=//p' $settings/dashboard.env)"

put() {
    cmp -s "/usr/share/suasana/$1" "$2" && return 0
    install -o mosquitto -g mosquitto -m 640 "/usr/share/suasana/$1" "$2"
    changed=yes
}
put mosquitto.acl $broker/suasana.acl
put mosquitto.conf $broker/conf.d/suasana.conf
[ -z "$changed" ] || [ ! -d /run/systemd/system ] || deb-systemd-invoke restart mosquitto.service || true
