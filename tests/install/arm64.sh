#!/bin/bash
# Installs and runs the package in an arm64 Debian, emulated as a Raspberry Pi 4 (Cortex-A72) and 5 (Cortex-A76).
# Nothing boots: programs of the root run one by one through binfmt_misc, without a network; what systemd does is
# tested by amd64.sh. Mounts and processes end with this script's namespaces. Needs root, debootstrap and a kernel with binfmt_misc.
# SUASANA_DEB_READY=1 takes the package that lies in dist/.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
[ "$(id -u)" = 0 ] || { echo "test-arm64: needs root (sudo make test-arm64)" >&2; exit 2; }
if [ "${1:-}" != --inside ]; then
    grep -q binfmt_misc /proc/filesystems || modprobe binfmt_misc 2>/dev/null || [ "$(uname -m)" = aarch64 ] || {
        echo "test-arm64: this kernel cannot run arm64 programs (no binfmt_misc)" >&2
        exit 2
    }
    systemd/debian-packages.sh debootstrap
    exec unshare --mount --propagation private --pid --fork --kill-child --mount-proc "$0" --inside "$@"
fi
shift
suite=${1:-bookworm}
case $suite in
    bookworm) python=3.11 release=12 ;;
    trixie) python=3.13 release=13 ;;
    *) echo "test-arm64: unknown suite $suite" >&2; exit 2 ;;
esac
mkdir -p build/install-arm64
work=$(cd build/install-arm64 && pwd)
clean() {
    umount -l "$work/root" 2>/dev/null || true
    rm -rf "$work/upper" "$work/scratch" "$work/root"
    "$here/qemu.sh" off
}
trap clean EXIT
trap 'exit 130' INT TERM
"$here/qemu.sh" on
root=$("$here/root.sh" "$suite" arm64)
"$here/clip.sh" build/clip
[ -n "${SUASANA_DEB_READY:-}" ] || systemd/deb.sh --arch arm64 --python $python --out dist
version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
mkdir -p "$work/root" "$work/upper" "$work/scratch"
mount -t overlay overlay -o "lowerdir=$root,upperdir=$work/upper,workdir=$work/scratch" "$work/root"
mkdir -p "$work/root/var/lib/clip" "$work/root/dev/shm"
cp build/clip/class.avi build/clip/speech.wav "$work/root/var/lib/clip/"
chmod -R go+rX "$work/root/var/lib/clip"
cp "dist/suasana_$version+deb${release}_arm64.deb" "$work/root/root/suasana.deb"
cp "$here/inside_arm64.sh" "$here/manager.py" "$work/root/root/"
printf '#!/bin/sh\nexit 101\n' >"$work/root/usr/sbin/policy-rc.d"   # nothing starts by itself in a root that did not boot
chmod 755 "$work/root/usr/sbin/policy-rc.d"
echo "Installing in $suite for arm64, emulated: this takes minutes"
# A process space of its own ends whatever is left running; a network of its own has nothing but the loopback.
unshare --pid --net --ipc --uts --fork --mount-proc="$work/root/proc" --kill-child sh -c \
    "ip link set lo up && hostname kelas-1a && mount -t sysfs -o ro sysfs '$work/root/sys' && exec chroot '$work/root' /bin/bash /root/inside_arm64.sh" 2>&1 |
    tee "$work/result"
grep -q '^all ok' "$work/result"
