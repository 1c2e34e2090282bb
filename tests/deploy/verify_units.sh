#!/bin/bash
# Checks the units in directory $1 with systemd's own verifier: it must accept them as they
# are, and (so that this test can fail) refuse one with a misspelt setting. The program
# paths are pointed at the freshly built programs in the directories $2..., and each
# program must know every flag that its unit passes.
set -eu
if ! command -v systemd-analyze > /dev/null; then
  echo "skipped: no systemd-analyze here"
  exit 77
fi
units=$1
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

find_program() {
  local name=$1 directory
  shift
  for directory in "$@"; do
    if [ -x "$directory/$name" ]; then
      echo "$directory/$name"
      return
    fi
  done
  echo "no program $name was built" >&2
  return 1
}

for unit in "$units"/*.service; do
  name=$(sed -n 's|^ExecStart=/usr/sbin/\([^ ]*\).*|\1|p' "$unit")
  program=$(find_program "$name" "$@")
  sed "s|^\(Exec[A-Za-z]*\)=/usr/sbin/$name|\1=$program|" "$unit" > "$work/$(basename "$unit")"
  for flag in $(sed -n "s|^Exec[A-Za-z]*=/usr/sbin/$name||p" "$unit" | grep -o -- '--[a-z-]*'); do
    flag=${flag#--}
    if ! "$program" --helpfull 2>&1 | grep -qE -- "--${flag//-/_}\b|--$flag\b"; then
      echo "$(basename "$unit"): $name does not know --$flag"
      exit 1
    fi
  done
done

cp "$units"/*.socket "$work/"

# With the drop-in that nobody has to use.
mkdir "$work/lockhost-guestd.service.d"
cp "$units/lockhost-guestd-threads.conf" "$work/lockhost-guestd.service.d/threads.conf"

verify() { systemd-analyze verify --man=no --recursive-errors=yes "$@"; }
verify "$work"/*.service "$work"/*.socket

sed 's/^Restart=/Restrat=/' "$work/lockhostd.service" > "$work/broken.service"
if verify "$work/broken.service" 2> "$work/complaint" && ! grep -q Restrat "$work/complaint"; then
  echo "the verifier accepted a misspelt setting: this test proves nothing here"
  exit 1
fi

sed -i 's/^SystemCallFilter=/SystemCallFliter=/' "$work/lockhost-guestd.service.d/threads.conf"
if verify "$work/lockhost-guestd.service" 2> "$work/complaint" && ! grep -q Fliter "$work/complaint"
then
  echo "the verifier did not look at the drop-in"
  exit 1
fi
