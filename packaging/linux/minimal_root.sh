#!/bin/sh
# Installs a .deb in a minimal Debian root and smoke-tests it there: minimal_root.sh FILE.deb [PYTHON] [ROOT]
# Needs root and debootstrap. A ROOT that exists already is used as it is, and stays.
set -eu
deb=$(readlink -f "$1")
python=${2:-python3}
here=$(dirname "$(dirname "$(readlink -f "$0")")")
root=${3:-}
suite=${SUITE:-bookworm}

cleanup() {
	umount "$root/proc" "$root/dev/shm" "$root/dev" 2>/dev/null || true
	[ -n "${3:-}" ] || rm -rf --one-file-system "$root"
}

if [ -z "$root" ]; then
	command -v debootstrap >/dev/null || apt-get install -y debootstrap debian-archive-keyring
	root=$(mktemp -d)
	trap cleanup EXIT
	debootstrap --variant=minbase "$suite" "$root" "${MIRROR:-http://deb.debian.org/debian}"
fi
mountpoint -q "$root/proc" || mount --bind /proc "$root/proc"
mountpoint -q "$root/dev" || mount --bind /dev "$root/dev"
# shared memory, through which engine and window exchange pictures, is a file system of its own below /dev
mountpoint -q "$root/dev/shm" || mount --bind /dev/shm "$root/dev/shm"
cp "$deb" "$root/tmp/"
chroot "$root" apt-get update -qq
DEBIAN_FRONTEND=noninteractive chroot "$root" apt-get install -y -qq --no-install-recommends "/tmp/$(basename "$deb")"
rm "$root/tmp/$(basename "$deb")"
if chroot "$root" sh -c 'command -v python3 || ls /usr/lib/*/libQt6Core*' >/dev/null 2>&1; then
	echo "The root has Python or Qt: it proves nothing." >&2
	exit 2
fi
"$python" "$here/smoke_test.py" "$deb" --root "$root" --installed /usr/bin/coordlabel
chroot "$root" apt-get remove -y -qq coordlabel
if [ -e "$root/usr/lib/coordlabel" ]; then
	echo "Removing the package leaves files." >&2
	exit 1
fi
