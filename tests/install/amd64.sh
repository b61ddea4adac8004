#!/bin/bash
# Installs, runs, reloads, upgrades and purges the package in a booted Debian:  amd64.sh [bookworm|trixie]…
# systemd runs as in a kit, in a container of its own without a network; mounts and processes lie in namespaces that
# end with this script. Needs root, debootstrap and systemd-container. SUASANA_DEB_READY=1 takes dist/'s package.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
[ "$(id -u)" = 0 ] || { echo "test-deb: needs root (sudo make test-deb)" >&2; exit 2; }
if [ "${1:-}" != --inside ]; then
    systemd/debian-packages.sh debootstrap systemd-container
    exec unshare --mount --propagation private --pid --fork --kill-child --mount-proc "$0" --inside "$@"
fi
shift
work=build/install
work=$(mkdir -p $work && cd $work && pwd)
trap 'umount -l "$work/root" 2>/dev/null || true; rm -rf "$work/upper" "$work/scratch" "$work/root"' EXIT
trap 'exit 130' INT TERM
"$here/clip.sh" build/clip
code=0
for suite in "${@:-bookworm}"; do
    case $suite in
        bookworm) python=3.11 release=12 ;;
        trixie) python=3.13 release=13 ;;
        *) echo "test-deb: unknown suite $suite" >&2; exit 2 ;;
    esac
    root=$("$here/root.sh" "$suite" amd64)
    ${SUASANA_DEB_READY:+:} systemd/deb.sh --arch amd64 --python $python --out dist
    version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
    umount -l "$work/root" 2>/dev/null || true
    rm -rf "$work/upper" "$work/scratch" "$work/newer"
    mkdir -p "$work/root" "$work/upper" "$work/scratch"
    mount -t overlay overlay -o "lowerdir=$root,upperdir=$work/upper,workdir=$work/scratch" "$work/root"
    deb=suasana_$version+deb${release}_amd64.deb
    cp "dist/$deb" "$work/root/root/"
    dpkg-deb -R "dist/$deb" "$work/newer"
    sed -i "s/^Version: .*/Version: $version+newer+deb$release/" "$work/newer/DEBIAN/control"
    dpkg-deb --root-owner-group -Znone --build "$work/newer" "$work/root/root/newer.deb" >/dev/null
    rm -rf "$work/newer"
    mkdir "$work/root/var/lib/clip"
    cp build/clip/class.avi build/clip/speech.wav "$work/root/var/lib/clip/"
    chmod -R go+rX "$work/root/var/lib/clip"
    cp "$here/inside.sh" "$work/root/root/"
    cp "$here/probe.py" "$work/root/usr/local/share/"
    echo kelas-1a >"$work/root/etc/hostname"
    cat >"$work/root/etc/systemd/system/life.service" <<EOF
[Service]
Type=exec
ExecStart=/bin/bash /root/inside.sh /root/$deb /root/newer.deb
StandardOutput=file:/root/result
StandardError=file:/root/result
[Install]
WantedBy=multi-user.target
EOF
    ln -s /etc/systemd/system/life.service "$work/root/etc/systemd/system/multi-user.target.wants/life.service"
    echo "Booting $suite"
    SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 timeout 2400 systemd-nspawn --quiet --directory "$work/root" \
        --machine "suasana-test-$suite" --register=no --keep-unit --private-network --boot \
        --system-call-filter "adjtimex clock_adjtime" \
        </dev/null >"$work/console-$suite" 2>&1 || true
    cp "$work/root/root/result" "$work/result-$suite" 2>/dev/null || : >"$work/result-$suite"
    cp "$work/root/root/journal" "$work/journal-$suite" 2>/dev/null || true
    cp "$work/root/root/size.json" "$work/size-$suite.json" 2>/dev/null || true
    cp "$work/root/root/doctor" "$work/doctor-$suite" 2>/dev/null || true
    cat "$work/result-$suite"
    grep -q '^all ok' "$work/result-$suite" || { echo "$suite failed; see build/install/*-$suite" >&2; code=1; }
done
exit $code
