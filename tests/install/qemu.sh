#!/bin/sh
# Lets this kernel run arm64 programs:  qemu.sh on | off. Run as root, in a mount namespace of one's own.
# The emulator is Debian 13's static qemu 10: Debian 12's 7.2 crashes in onnxruntime and LiteRT alike.
set -eu
name=suasana-aarch64
table=/proc/sys/fs/binfmt_misc
here=$(cd "$(dirname "$0")" && pwd)
folder=$here/../../build/roots/qemu
[ "$(uname -m)" != aarch64 ] || exit 0

[ -e $table/register ] || mount -t binfmt_misc binfmt_misc $table
[ ! -e $table/$name ] || echo -1 >$table/$name
[ "$1" = on ] || exit 0

if [ ! -x "$folder/qemu-aarch64" ]; then
    mkdir -p "$folder/lists/partial" "$folder/cache/archives/partial"
    mirror=$(apt-get indextargets --format '$(LABEL)|$(REPO_URI)' | sed -n 's/^Debian|//p' | head -n 1)
    keys=/usr/share/keyrings/debian-archive-keyring.gpg
    echo "deb [signed-by=$keys] $mirror trixie main" >"$folder/sources.list"
    from_trixie="-o Dir::Etc::SourceList=$folder/sources.list -o Dir::Etc::SourceParts=/dev/null
        -o Dir::State::Lists=$folder/lists -o Dir::Cache=$folder/cache -o APT::Sandbox::User=root"
    cd "$folder"
    # shellcheck disable=SC2086 # the options are meant to be split
    apt-get $from_trixie update -qq && apt-get $from_trixie download -qq qemu-user
    dpkg-deb --fsys-tarfile qemu-user_*.deb | tar -x --strip-components=3 ./usr/bin/qemu-aarch64
    rm -rf lists cache qemu-user_*.deb
fi
# The magic of an arm64 ELF program; F opens the emulator now, so that it needs no place inside the root,
# O and C let set-user-ID programs work.
magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
printf '%s' ":$name:M::$magic:$mask:$folder/qemu-aarch64:OCF" >$table/register
