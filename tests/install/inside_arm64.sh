#!/bin/bash
# Runs inside the emulated root, each line a check; arm64.sh reads the output.
set -u
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8
python=/usr/lib/suasana/bin/python3
failed=0
check() {   # check WORDS COMMAND…
    local words=$1; shift
    if "$@" >/tmp/check.out 2>&1; then echo "ok      $words"
    else echo "FAILED  $words"; tail -n 8 /tmp/check.out | sed 's/^/        | /'; failed=1; fi
}
check "this is arm64" test "$(uname -m)" = aarch64
[ -n "${INSTALLED:-}" ] || check "installs without a network" dpkg -i /root/suasana.deb
[ $failed = 0 ] || exit 1
echo "        $(du -sh --apparent-size /usr/lib/suasana | cut -f1) in /usr/lib/suasana, of it bytecode $(find /usr/lib/suasana -name '*.pyc' -print0 | du -ch --apparent-size --files0-from=- | tail -n 1 | cut -f1)"
check "sound: the system's PyAudio is seen" $python -c "import pyaudio"
# Emulated, one look takes seconds: the light detector, and windows long enough to hold some looks.
sed -i -e 's|^mode = .*|mode = "class"|' -e 's|^min_people = .*|min_people = 2|' -e 's|^max_fps = .*|max_fps = 1.0|' \
    -e 's|^detector = .*|detector = "blazeface"|' -e 's|^window_s = .*|window_s = 30.0|' \
    -e 's|^uri = "opencv:0".*|uri = "replay:/var/lib/clip/class.avi?loop=1"|' \
    -e 's|^uri = "pyaudio:default".*|uri = "replay:/var/lib/clip/speech.wav?loop=1"|' /etc/suasana/kit.toml
install -d -o mosquitto /run/mosquitto /var/log/mosquitto   # Debian's unit makes them
mosquitto -d -c /etc/mosquitto/mosquitto.conf
answers() { for _ in $(seq 60); do (exec 3<>/dev/tcp/127.0.0.1/1883) && return 0; sleep 1; done; return 1; }
check "the broker answers" answers
[ $failed = 0 ] || exit 1
for cpu in cortex-a72 cortex-a76; do
    export QEMU_CPU=$cpu
    for format in tflite onnx; do
        check "$cpu, $format: golden answers of both models" $python - $format <<'EOF'
import sys

from edge.models import choice, goldens
from edge.settings import Settings

for task in (Settings().expression, Settings().tone):
    found = choice.find_model(task)
    result = goldens.check(found, sys.argv[1])
    print(found.id, result)
    assert result.good, result
EOF
        sed -i "s|^runtime = .*|runtime = \"$format\"|" /etc/suasana/kit.toml
        $python /root/manager.py 1800 setpriv --reuid suasana --regid suasana --init-groups \
            suasana run --config /etc/suasana/kit.toml 2>/tmp/daemon.log >/tmp/told.json
        echo "        $(cat /tmp/told.json)"
        told() { $python -c "import json, sys; told = json.load(open('/tmp/told.json')); sys.exit(not ($1))" || { tail -n 5 /tmp/daemon.log; false; }; }
        check "$cpu, $format: ready, and progress is told" told 'told["ready_s"] > 0 and told["pings"] > 0'
        check "$cpu, $format: the broker has the room's mood" told 'told["moods"] > 0 and told["people"] >= 4'
        check "$cpu, $format: read by that runtime, both models" told "told['runtimes'] == ['$format'] and told['models'] == 2"
        check "$cpu, $format: a graceful end" told 'told["code"] == 0 and told["availability"][-1] == "stopped"'
    done
done
unset QEMU_CPU
check "purges" dpkg --purge suasana
check "and leaves nothing" bash -c '! find / -xdev -path /proc -prune -o -path /var/lib/dpkg -prune -o -path /var/log -prune -o -path /root -prune -o -name "*suasana*" -print | grep . && ! getent passwd suasana'
[ $failed = 0 ] && echo "all ok"
