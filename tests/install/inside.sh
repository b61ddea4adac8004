#!/bin/bash
# Runs as a unit inside the booted root: the whole life of the package, each line a check. amd64.sh reads the output.
set -u
deb=$1 newer=$2
page() { sed -n 's/^SUASANA_MQTT_PASSWORD=//p' /etc/suasana/dashboard.env; }
hear() { mosquitto_sub -h 127.0.0.1 -u teacher_page -P "$(page)" -W "$1" "${@:2}" 2>&1; }
failed=0
check() {   # check WORDS COMMAND…
    local words=$1; shift
    if "$@" >/tmp/check.out 2>&1; then echo "ok      $words"
    else echo "FAILED  $words"; tail -n 5 /tmp/check.out | sed 's/^/        | /'; failed=1; fi
}
# What lies on the disk, less what every package leaves: caches, logs, dpkg's and systemd's own books.
disk() {
    find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /root -o -path /var/tmp \
        -o -path /var/log -o -path /var/backups -o -path /var/cache -o -path /var/lib/dpkg -o -path /var/lib/apt -o -path /var/lib/systemd \
        -o -path /var/lib/mosquitto -o -path /etc/.pwd.lock -o -name '*-' -path '/etc/*' \) -prune -o -print | sort
    cut -d: -f1 /etc/passwd /etc/group | sort
}
active() { systemctl is-active --quiet "$1"; }
inactive() { ! active "$1"; }
eventually() {   # two minutes: the machine may be busy
    local end=$((SECONDS + 120))
    until "$@"; do [ $SECONDS -lt $end ] || return 1; sleep 0.5; done
}
main_pid() { systemctl show -P MainPID suasana; }
room_is() { [ "$(hear 3 -C 1 -t 'suasana/+/info' | grep -o '"room":"[^"]*"')" = "\"room\":\"$1\"" ]; }

finish() {
    [ $failed = 0 ] && echo "all ok"
    journalctl -u 'suasana*' -u mosquitto --no-pager >/root/journal
    [ -n "${STAY:-}" ] || systemctl --no-block poweroff
    exit $failed
}

eventually active mosquitto
disk >/tmp/before

# ── Install ────────────────────────────────────────────────────────────────────────────────────────────
check "installs without a network" apt-get install -y -qq "$deb"
[ $failed = 0 ] || finish
# What it takes here; bytecode is made by the installation and is in no package.
bytes() { du -sb --apparent-size "$@" | cut -f1; }
bytecode=$(find /usr/lib/suasana -name '*.pyc' -print0 | du -cb --files0-from=- | tail -n 1 | cut -f1)
printf '{"package": "%s", "installed_bytes": %s, "bytecode_bytes": %s}\n' "$(basename "$deb")" "$(bytes /usr/lib/suasana)" "$bytecode" >/root/size.json
echo "        $(cat /root/size.json)"
check "settings were made, watching not asked for" grep -q '^mode = ""' /etc/suasana/kit.toml
check "passwords are not for everybody" test "$(stat -c '%a %U:%G' /etc/suasana/mqtt.password /etc/suasana/dashboard.env /etc/mosquitto/suasana.passwd | tr '\n' ' ')" = "640 root:suasana 600 root:root 640 mosquitto:mosquitto "
check "no password stands anywhere else" bash -c "! grep -rqF -f /etc/suasana/mqtt.password /etc/mosquitto /etc/systemd /var/log /usr/share/suasana"
check "units are enabled" systemctl is-enabled suasana suasana-dashboard
check "the dashboard runs" eventually active suasana-dashboard
check "the page answers" eventually bash -c 'exec 3<>/dev/tcp/127.0.0.1/8765 && printf "GET /healthz HTTP/1.0\r\nHost: 127.0.0.1:8765\r\n\r\n" >&3 && grep -q "\"broker\": *true" <&3'
check "the daemon waits to be asked" inactive suasana
systemctl start suasana
check "and says why, without trying again" bash -c 'sleep 3; journalctl -u suasana | grep -q "asked for by name" && [ "$(systemctl show -P NRestarts suasana)" = 0 ]'
check "both formats of both models open" suasana models verify

/usr/lib/suasana/bin/python3 -m edge.broker --port 18830 >/tmp/embedded 2>&1 &
embedded=$!
check "the embedded broker runs without what it leaves out" eventually mosquitto_pub -h 127.0.0.1 -p 18830 -t x -m x
kill $embedded

# ── Run ────────────────────────────────────────────────────────────────────────────────────────────────
sed -i -e 's|^mode = .*|mode = "class"|' -e 's|^room = .*|room = "Kelas 1A"|' -e 's|^min_people = .*|min_people = 2|' \
    -e 's|^uri = "opencv:0".*|uri = "replay:/var/lib/clip/class.avi?loop=1"|' \
    -e 's|^uri = "pyaudio:default".*|uri = "replay:/var/lib/clip/speech.wav?loop=1"|' /etc/suasana/kit.toml
systemctl reset-failed suasana
check "the daemon starts and says ready, in its sandbox" systemctl start suasana
check "moods reach the teacher's page" bash -c "$(declare -f page hear); hear 120 -t 'suasana/+/event' | grep -m1 '\"type\":\"suasana.mood.v1\"'"
kit=$(sed -n 's/^kit = "\([^"]*\)".*/\1/p' /etc/suasana/kit.toml)
as_kit() { mosquitto_pub -V 5 -h 127.0.0.1 -q 1 -u "$kit" -P "$(cat /etc/suasana/mqtt.password)" -t "$1" -m x; }
check "the kit may write below its own name" as_kit "suasana/$kit/event"
check "and nowhere else" bash -c "$(declare -f as_kit); kit=$kit; as_kit suasana/other/event 2>&1 | grep -i 'not authorized'"
check "nor read elsewhere" bash -c "! mosquitto_sub -h 127.0.0.1 -u $kit -P \"\$(cat /etc/suasana/mqtt.password)\" -t 'suasana/other/#' -W 3 -C 1"
check "nobody comes in without a name" bash -c "! mosquitto_pub -h 127.0.0.1 -t x -m x"
check "the broker listens on this machine only" bash -c "! ss -Hltn 'sport = :1883' | grep -v 127.0.0.1:1883"
status=/proc/$(main_pid)/status
check "no capability, no new privileges, a system call filter" bash -c "grep -q '^CapBnd:.*0000000000000000' $status && grep -q '^NoNewPrivs:.*1' $status && grep -q '^Seccomp:.*2' $status"
check "no core file, no swap" bash -c "grep 'Max core file size *0 *0' /proc/$(main_pid)/limits && [ \$(systemctl show -P MemorySwapMax suasana) = 0 ]"
check "nothing was refused by the sandbox" bash -c "! journalctl -u suasana -p warning -o cat | grep -iE 'not permitted|denied|read-only|bad system call'"

# The same sandbox around a program that tries what it may not do.
sed -e 's|^Type=.*|Type=oneshot|' -e 's|^ExecStart=.*|ExecStart=/usr/lib/suasana/bin/python3 -I /usr/local/share/probe.py|' \
    -e '/^ExecReload/d' -e '/^Restart/d' -e '/^WatchdogSec/d' -e '/^\[Install\]/,$d' \
    /usr/lib/systemd/system/suasana.service >/run/systemd/system/probe.service
systemctl daemon-reload
systemctl start probe 2>/dev/null
check "the sandbox holds, and lets through what is needed" bash -c "journalctl -u probe -o cat | grep -E '^can'; [ \"\$(systemctl show -P Result probe)\" = success ]"
rm /run/systemd/system/probe.service

# ── Reload, stop, watchdog ─────────────────────────────────────────────────────────────────────────────
pid=$(main_pid)
sed -i 's|^room = .*|room = "Kelas 2B"|' /etc/suasana/kit.toml
check "reload is accepted" systemctl reload suasana
check "the new room is told" eventually room_is "Kelas 2B"
check "by the same process, still active" bash -c "[ $(main_pid) = $pid ] && systemctl is-active suasana"
sed -i 's|^room = .*|rooom = "x"|' /etc/suasana/kit.toml
check "a reload of bad settings fails" bash -c "! systemctl reload suasana"
[ "$(main_pid)" = 0 ] || kill -HUP "$(main_pid)"
check "and so does a signal, in one line" eventually bash -c "journalctl -u suasana -o cat | grep 'the old ones stay' | grep rooom"
check "while the old ones stay" bash -c "[ $(main_pid) = $pid ] && systemctl is-active suasana"
sed -i 's|^rooom = .*|room = "Kelas 2B"|' /etc/suasana/kit.toml
[ "$(main_pid)" = 0 ] || kill -STOP "$(main_pid)"
check "a hang is ended by the watchdog and started anew" eventually bash -c "[ \"\$(systemctl show -P NRestarts suasana)\" -ge 1 ] && systemctl is-active suasana"
check "moods come again" bash -c "$(declare -f page hear); hear 120 -t 'suasana/+/event' | grep -m1 '\"type\":\"suasana.mood.v1\"'"
began=$(date +%s%N)
systemctl stop suasana
took=$((($(date +%s%N) - began) / 1000000))
echo "        stop took $took ms"
check "it stops in five seconds, gracefully" bash -c "[ $took -lt 5000 ] && [ \"\$(systemctl show -P Result suasana)\" = success ]"
check "root may use the command meanwhile" suasana switch camera off --config /etc/suasana/kit.toml
check "the doctor finds nothing broken" bash -c "suasana doctor --config /etc/suasana/kit.toml --language en | tee /root/doctor; ! grep -E 'FAIL|hand them back' /root/doctor"
check "and said so" bash -c "$(declare -f page hear); hear 5 -C 1 -t 'suasana/+/availability' | grep stopped"
systemctl start suasana
check "and nothing in the state is root's then" bash -c "! find /var/lib/suasana ! -user suasana | grep ."
check "the switch is obeyed" eventually bash -c "$(declare -f page hear); hear 5 -C 1 -t 'suasana/+/info' | grep '\"camera\":\"off\"'"
suasana switch camera on --config /etc/suasana/kit.toml

# ── A school's broker on this machine, and the kit paired with it ─────────────────────────────────────
# Under an address that the daemon's sandbox does not allow before the pairing.
site=/var/lib/suasana-site
ip address add 10.77.0.1/32 dev lo
mood_over_tls() {
    mosquitto_sub -h 10.77.0.1 -p 8883 --cafile "$site/authority.pem" --cert "$site/clients/node_red/client.pem" \
        --key "$site/clients/node_red/client.key" -W "$1" -t 'suasana/+/event' | grep -m1 '"type":"suasana.mood.v1"'
}
reloads() { journalctl -u suasana-site -o cat | grep -c '^Reloaded suasana-site'; }
listening() { [ -n "$(ss -Hltn "sport = :$1")" ]; }
cp -a /etc/suasana/kit.toml /root/room.toml
check "a site's units wait until there is one" bash -c "systemctl start suasana-site suasana-site-registrar; ! systemctl is-active suasana-site suasana-site-registrar"
check "a site is founded" suasana site create $site --name sekolah-1 --host 10.77.0.1 --kit-days 60
check "its units start" systemctl enable -q --now suasana-site suasana-site-registrar suasana-site-renew.timer
check "the broker and the registrar listen" eventually bash -c "$(declare -f listening); listening 8883 && listening 8886"
check "the authority's key is not even seen from the broker" bash -c "[ \"\$(nsenter -t \$(systemctl show -P MainPID suasana-site) -m stat -c %a $site/authority.key)\" = 0 ]"
check "the broker's certificate is looked after" systemctl start suasana-site-renew
suasana site invite $site kelas-1a >/tmp/invitation 2>&1 &
check "a kit is invited" eventually grep -q 'suasana pair SUASANA' /tmp/invitation
suasana pair "$(sed -n 's/^suasana pair //p' /tmp/invitation)" >/tmp/paired 2>&1
check "it pairs, and the broker lets it in" bash -c "cat /tmp/paired; grep -q 'a test message came back' /tmp/paired"
check "its sandbox was opened for that address" bash -c "grep -qx IPAddressAllow=10.77.0.1 /etc/systemd/system/suasana.service.d/broker.conf && grep -qx IPAddressAllow=10.77.0.1 /etc/systemd/system/suasana-renew.service.d/broker.conf"
pem=$(echo /etc/suasana/broker-*/kit.pem)
check "its key is the daemon's group's at most" test "$(stat -c '%a %U:%G' "$pem")" = "640 root:suasana"
suasana site add-program $site node_red --role reader >/tmp/program
systemctl daemon-reload
check "the daemon starts with it" systemctl restart suasana
check "moods come over TLS" bash -c "site=$site; $(declare -f mood_over_tls); mood_over_tls 120"
check "and nothing was refused by the sandbox" bash -c "! journalctl -u suasana -u suasana-site -u suasana-site-registrar -p warning -o cat | grep -iE 'not permitted|denied|read-only|bad system call'"
check "it is too early for another certificate" bash -c "systemctl start suasana-renew && journalctl -u suasana-renew -o cat | grep '^valid until'"
# The same kit, had it joined fifty days ago.
/usr/lib/suasana/bin/python3 - "$pem" <<'EOF2'
import sys
from datetime import timedelta
from pathlib import Path

from edge.site.access import Member
from edge.site.folder import Site, utc_now

made = Site(Path("/var/lib/suasana-site")).add(Member("kelas-1a", "kit"), utc_now() - timedelta(days=50), replaces=True)
Path(sys.argv[1]).write_bytes((made / "client.pem").read_bytes() + (made / "client.key").read_bytes())
EOF2
systemctl restart suasana
check "moods come with ten days left" bash -c "site=$site; $(declare -f mood_over_tls); mood_over_tls 120"
before=$(sha256sum "$pem") told=$(reloads) pid=$(main_pid)
check "the certificate is renewed, in its sandbox" bash -c "systemctl start suasana-renew && journalctl -u suasana-renew -o cat | grep '^another certificate, valid until'"
check "in place, for the same readers" bash -c "[ \"\$(sha256sum $pem)\" != '$before' ] && [ \"\$(stat -c '%a %U:%G' $pem)\" = '640 root:suasana' ]"
check "the registrar's sandbox lets it tell the broker" eventually bash -c "$(declare -f reloads); [ \$(reloads) -gt $told ]"
check "the daemon takes it up" eventually bash -c "journalctl -u suasana -o cat | grep 'new ones are good'"
check "as the same process" bash -c "[ $(main_pid) = $pid ]"
check "moods come over TLS again" bash -c "site=$site; $(declare -f mood_over_tls); mood_over_tls 120"
# The page at the site, as docs/site.md says: its key stays root's, and systemd hands it over.
cp -a /etc/suasana/dashboard.env /root/page.env
suasana site add-program $site teacher_page --role dashboard --invites >/tmp/program
handed=/run/credentials/suasana-dashboard.service
mkdir -p /etc/systemd/system/suasana-dashboard.service.d
{
    echo '[Service]'
    for file in client.key client.pem ca.pem; do echo "LoadCredential=$file:$site/clients/teacher_page/$file"; done
} >/etc/systemd/system/suasana-dashboard.service.d/site.conf
sed -i "s|^DASHBOARD_OPTIONS=.*|DASHBOARD_OPTIONS=--mqtt mqtts://10.77.0.1 --mqtt-ca $handed/ca.pem --mqtt-cert $handed/client.pem --mqtt-key $handed/client.key --host 127.0.0.1 --port 8765|" /etc/suasana/dashboard.env
systemctl daemon-reload
systemctl restart suasana-dashboard
page_hears() { bash -c 'exec 3<>/dev/tcp/127.0.0.1/8765 && printf "GET /healthz HTTP/1.0\r\nHost: 127.0.0.1:8765\r\n\r\n" >&3 && tr -d " " <&3' | grep -q '"broker":true.*"kits":1'; }
check "the page comes with its certificate and hears the kit" eventually page_hears
cp -a /root/page.env /etc/suasana/dashboard.env
rm -r /etc/systemd/system/suasana-dashboard.service.d
systemctl daemon-reload
systemctl restart suasana-dashboard
check "the timer waits for the next day" systemctl is-active suasana-renew.timer
suasana site revoke $site kelas-1a
check "who is revoked is told so" bash -c "! systemctl start suasana-renew; journalctl -u suasana-renew -o cat | grep 'was revoked'"
# Paired anew, and looking for the broker at each connection: the sandbox lets multicast DNS through.
ip link set lo multicast on
ip route add 224.0.0.0/4 dev lo
suasana site announce $site >/tmp/announced 2>&1 &
announcing=$!
suasana site invite $site kelas-1a >/tmp/invitation 2>&1 &
check "a revoked kit is invited anew" eventually grep -q 'suasana pair SUASANA' /tmp/invitation
suasana pair --discover "$(sed -n 's/^suasana pair //p' /tmp/invitation)" >/tmp/paired 2>&1
check "it pairs, and finds the broker by its authority" bash -c "cat /tmp/paired /tmp/announced; grep -q 'discover://sekolah-1' /etc/suasana/kit.toml && grep -q 'a test message came back' /tmp/paired"
systemctl daemon-reload
systemctl restart suasana
check "moods come over TLS from a kit that looked around" bash -c "site=$site; $(declare -f mood_over_tls); mood_over_tls 120"
check "and so does its next certificate" bash -c "systemctl start suasana-renew && journalctl -u suasana-renew -o cat | tail -n 5 | grep '^valid until'"
kill $announcing
cp -a /root/room.toml /etc/suasana/kit.toml
rm -r /etc/suasana/broker-* /etc/systemd/system/suasana.service.d /etc/systemd/system/suasana-renew.service.d
systemctl daemon-reload
systemctl restart suasana
check "in a room of its own again" eventually bash -c "$(declare -f page hear); hear 5 -C 1 -t 'suasana/+/availability' | grep online"

# ── Upgrade, remove, install again, purge ──────────────────────────────────────────────────────────────
kept() { cat /etc/suasana/kit.toml /etc/suasana/mqtt.password /etc/suasana/dashboard.env /var/lib/suasana/kept | sha256sum; }
echo mine >/var/lib/suasana/kept
mosquitto_passwd -b /etc/mosquitto/suasana.passwd kit-2 somebody-else
before=$(kept)
check "upgrades" apt-get install -y -qq "$newer"
check "settings and state are as they were" test "$(kept)" = "$before"
check "another kit's password, too" grep -q '^kit-2:' /etc/mosquitto/suasana.passwd
check "the new version runs" bash -c "dpkg-query -W -f '\${Version}' suasana | grep -q '+newer' && systemctl is-active suasana"
check "a site's units go on" systemctl is-active suasana-site suasana-site-registrar suasana-site-renew.timer
systemctl disable -q suasana-dashboard
check "removes" apt-get remove -y -qq suasana
check "the broker is as it was" bash -c "systemctl is-active mosquitto && ! grep -rq suasana /etc/mosquitto"
check "settings and state stay" test "$(kept)" = "$before"
check "a site's broker does not run without it, and its folder stays" bash -c "! systemctl is-active suasana-site suasana-site-registrar && [ -s $site/authority.key ]"
check "installs again" apt-get install -y -qq "$newer"
check "with them" bash -c "[ '$(kept)' = '$before' ] && systemctl is-active suasana"
check "what was disabled stays so" bash -c "! systemctl is-enabled suasana-dashboard"
check "moods come again" bash -c "$(declare -f page hear); hear 120 -t 'suasana/+/event' | grep -m1 '\"type\":\"suasana.mood.v1\"'"
check "purges" apt-get purge -y -qq suasana
check "but not a school's site" test -s $site/authority.key
rm -r $site
disk >/tmp/after
check "and leaves nothing" diff /tmp/before /tmp/after
check "the broker runs" active mosquitto
finish
