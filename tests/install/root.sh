#!/bin/sh
# A Debian root file system with everything that the package depends on, made once and kept in build/roots:
#     root.sh SUITE ARCHITECTURE      prints its path; nothing in it is ever changed again by the tests
# An arm64 one on another machine needs qemu.sh to have registered the emulator. Run as root.
set -eu
suite=$1 architecture=$2
here=$(cd "$(dirname "$0")" && pwd)
roots=$here/../../build/roots
root=$roots/$suite-$architecture
mkdir -p "$roots"
roots=$(cd "$roots" && pwd)
root=$roots/$suite-$architecture
[ ! -e "$root.made" ] || { echo "$root"; exit 0; }

# What the package asks for, and what its tests look with. Recommended packages come as they would on a kit.
base=dbus,iproute2,kmod,libcap2-bin,libstdc++6,mosquitto,mosquitto-clients,procps,python3,systemd,systemd-sysv,udev
sound=python3-pyaudio

# The mirror that this machine uses for Debian itself; debootstrap's own where apt does not tell.
mirror=$(apt-get indextargets --format '$(LABEL)|$(REPO_URI)' 2>/dev/null | sed -n 's/^Debian|//p' | head -n 1)

echo "Making $suite for $architecture (some minutes, once)" >&2
rm -rf "$root"
second_stage=""
[ "$(dpkg --print-architecture)" = "$architecture" ] || second_stage=--foreign
# shellcheck disable=SC2086 # an empty option must vanish
if ! debootstrap $second_stage --arch="$architecture" --variant=minbase --include="$base,$sound" \
    "$suite" "$root" $mirror >"$root.log" 2>&1
then
    tail -n 3 "$root.log" >&2
    exit 1
fi
if [ -n "$second_stage" ]; then
    chroot "$root" /debootstrap/debootstrap --second-stage >>"$root.log" 2>&1 || { tail -n 3 "$root.log" >&2; exit 1; }
fi
rm -f "$root"/var/cache/apt/archives/*.deb
touch "$root.made"
echo "$root"
