#!/bin/sh
# Builds the Debian package of this checkout:
#     systemd/deb.sh [--arch amd64|arm64] [--python 3.11|3.13] [--out DIR]     (default: for this machine, dist/)
# Whatever the architecture, nothing is compiled and nothing of it is run, so any Debian builds for any kit.
# The package carries a whole environment, every wheel believed only by its sha256 in systemd/lock: a kit needs
# no network beyond Debian's own packages, dpkg knows each file, and removing it removes all of it.
set -eu
cd "$(dirname "$0")/.."
arch=$(dpkg --print-architecture)
python=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
out=dist
while [ $# -gt 0 ]; do
    case $1 in
        --arch) arch=$2 ;;
        --python) python=$2 ;;
        --out) out=$2 ;;
        *) echo "deb.sh: unknown option $1" >&2; exit 2 ;;
    esac
    [ $# -ge 2 ] || { echo "deb.sh: $1 needs a value" >&2; exit 2; }
    shift 2
done
lock=systemd/lock/python$python.txt
[ -e "$lock" ] || { echo "deb.sh: no list of pinned packages for Python $python (systemd/lock/update.sh)" >&2; exit 2; }
case $arch in
    amd64) machine=x86_64 ;;
    arm64) machine=aarch64 ;;
    *) echo "deb.sh: the runtimes have no wheels for $arch, only for amd64 and arm64" >&2; exit 2 ;;
esac
case $python in
    3.11) release=12 ;;
    3.13) release=13 ;;
esac
version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)${SUASANA_DEB_SUFFIX:-}
package=suasana_$version+deb${release}_$arch.deb
work=build/deb
tree=$work/$python-$arch
home=$tree/usr/lib/suasana
site=$home/lib/python$python/site-packages

run_pip=${PYTHON:-.venv/bin/python}
if [ ! -x "$run_pip" ] || ! "$run_pip" -c 'import pip' 2>/dev/null; then
    [ -x $work/pip/bin/python ] || { systemd/debian-packages.sh python3-venv && python3 -m venv $work/pip; }
    run_pip=$work/pip/bin/python
fi
pip() { "$run_pip" -m pip --quiet --disable-pip-version-check "$@"; }

echo "Building $package"

# Two builds at a time would pull the copy below from under each other.
mkdir -p "$work"
exec 9>"$work/lock"
flock 9

# Our own wheel, from a copy: setuptools would pack what earlier builds left in the checkout, too. It carries the
# models and the weights of others.
rm -rf "$tree" "$work"/wheels-*.new "$work/source/edge" "$work/source/dashboard" "$work/source/models" "$work/wheel"
mkdir -p "$work/source/build" "$work/wheel" "$site" "$home/bin"
cp -R edge dashboard models setup.py pyproject.toml README.md LICENSE "$work/source"
rm -rf "$work/source/build/lib" "$work/source/build"/bdist.*
if [ -d .venv/share/suasana/weights ] && [ ! -d $work/source/build/weights ]; then
    cp -R .venv/share/suasana/weights $work/source/build/weights   # checked by their sha256 like all others
fi
pip wheel --no-deps --wheel-dir "$work/wheel" "$work/source"

# The environment, kept for the next build until the list changes. pip has to be told every platform tag that the
# oldest supported C library can load, and not to ask whether this Python would do.
wheels=$work/wheels-$python-$arch-$(sha256sum <"$lock" | cut -c1-12)
if [ ! -d "$wheels" ]; then
    rm -rf "$work/wheels-$python-$arch"-*
    tags=""
    for glibc in 36 35 34 31 28 27 26 24 17; do tags="$tags --platform manylinux_2_${glibc}_$machine"; done
    # shellcheck disable=SC2086 # the list is meant to be split
    pip install --target "$wheels.new" --no-compile --no-deps --only-binary=:all: --require-hashes -r "$lock" --ignore-requires-python \
        --python-version "$python" --implementation cp --abi "cp$(echo "$python" | tr -d .)" --abi abi3 --abi none \
        $tags --platform manylinux2014_$machine
    # Tests and headers of others: nobody runs them on a kit.
    find "$wheels.new" -type d \( -name tests -o -name include \) -path '*/numpy/*' -prune -exec rm -rf {} +
    rm -rf "$wheels.new/bin"
    mv "$wheels.new" "$wheels"
fi
cp -al "$wheels/." "$site"
rm -rf "${site:?}/share"   # manuals of others; pip would not put ours, with the weights, into a folder that is there
# A quarter of it the kit never loads: a second copy of onnxruntime for programs in C, LiteRT for GPUs and for makers
# of models, training tools, OpenCV's Haar cascades. `make test-deb` tries what is left.
(
    cd "$site"
    rm -rf onnxruntime/capi/libonnxruntime.so.* cv2/data/*.xml ml_dtypes ml_dtypes-*.dist-info
    for part in transformers quantization tools datasets backend; do rm -rf "onnxruntime/$part"; done
    for part in libLiteRtWebGpuAccelerator.so tools vendors aot; do rm -rf "ai_edge_litert/$part"; done
    # What the embedded broker's own commands are written with, which nobody calls here.
    for part in annotated_doc annotated_types markdown_it markdown_it_py mdurl pydantic pydantic_core pygments rich shellingham \
        typer typing_inspection; do
        rm -rf "$part" "$part"-*.dist-info
    done
)
pip install --target "$site" --no-compile --no-deps "$work"/wheel/suasana-*.whl
mv "$site/share" "$home/share"
sed -n 's/^file = "\(.*\)"/\1/p' edge/models/weights.toml | while read -r file; do
    [ -s "$home/share/suasana/weights/$file" ] || { echo "deb.sh: $file could not be fetched" >&2; exit 1; }
done
rm -rf "${site:?}/bin"
cat >"$home/pyvenv.cfg" <<EOF
home = /usr/bin
include-system-site-packages = true
version = $python
EOF
ln -s "/usr/bin/python$python" "$home/bin/python3"
printf '#!/usr/lib/suasana/bin/python3\nimport sys\n\nfrom edge.__main__ import main\n\nsys.exit(main())\n' >"$home/bin/suasana"

# What the service manager, the broker and people read.
put() { install -D -m "$1" "$2" "$tree/$3"; }
put 755 systemd/broker.sh usr/lib/suasana/broker.sh
put 644 systemd/suasana.service usr/lib/systemd/system/suasana.service
put 644 systemd/suasana-dashboard.service usr/lib/systemd/system/suasana-dashboard.service
for unit in suasana-renew.service suasana-renew.timer suasana-site.service suasana-site-registrar.service \
    suasana-site-renew.service suasana-site-renew.timer; do
    put 644 "systemd/$unit" "usr/lib/systemd/system/$unit"
done
put 644 systemd/suasana.sysusers usr/lib/sysusers.d/suasana.conf
put 644 systemd/suasana.tmpfiles usr/lib/tmpfiles.d/suasana.conf
put 644 systemd/kit.toml usr/share/suasana/kit.toml
put 644 systemd/mosquitto.conf usr/share/suasana/mosquitto.conf
put 644 systemd/mosquitto.acl usr/share/suasana/mosquitto.acl
put 644 docs/install.md usr/share/doc/suasana/install.md
put 644 docs/site.md usr/share/doc/suasana/site.md
put 644 LICENSE usr/share/doc/suasana/copyright
gzip -9nc CHANGELOG.md >"$tree/usr/share/doc/suasana/changelog.gz"
install -d "$tree/usr/bin" "$tree/DEBIAN"
ln -s ../lib/suasana/bin/suasana "$tree/usr/bin/suasana"
chmod 755 "$home/bin/suasana"
chmod -R u+rwX,go+rX,go-w "$tree"

for script in postinst prerm postrm; do install -m 755 systemd/deb/$script "$tree/DEBIAN/$script"; done
minor=${python#3.}
cat >"$tree/DEBIAN/control" <<EOF
Package: suasana
Version: $version+deb$release
Architecture: $arch
Maintainer: Suasana maintainers <suasana@localhost>
Installed-Size: $(du -sk "$tree" | cut -f1)
Depends: python3 (>= 3.$minor), python3 (<< 3.$((minor + 1))), libc6 (>= 2.36), libstdc++6 (>= 12), mosquitto (>= 2.0.11), systemd (>= 252)
Recommends: python3-pyaudio
Suggests: python3-picamera2, espeak-ng
Section: misc
Priority: optional
Description: the mood of a classroom, read on the device and told over MQTT
 A kit with a camera and a microphone reads facial expression and tone of voice with small quantised models
 and tells a teacher's page what the room as a whole looks and sounds like. No picture and no sound leaves it.
EOF
mkdir -p "$out"
dpkg-deb --root-owner-group -Zzstd -z9 --build "$tree" "$out/$package" >/dev/null
du -sh --apparent-size "$home" "$out/$package" | sed 's/^/  /'
