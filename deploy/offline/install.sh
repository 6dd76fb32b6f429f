#!/bin/sh
# Installs Oddlot from this folder, without a network: sudo ./install.sh [PREFIX]
#
# Into PREFIX-VERSION, to which PREFIX (/opt/oddlot, where none is said) then points: the version before stays beside it,
# and `ln -sfn` is the way back. Where systemd is found and root runs this, also the user `oddlot` and the units; nothing
# is started. It may be run again: for another version, or where it was stopped.
set -eu
umask 022  # what root installs, the user oddlot must be able to read
cd "$(dirname "$0")"
prefix=${1:-/opt/oddlot}
python=${PYTHON:-python3}
programs=${PROGRAMS:-/usr/local/bin}
version=$(cat VERSION)
made_for=$(cat PYTHON)

fail() { echo "install: $*" >&2; exit 1; }

found=$("$python" -c 'import sys, platform; print("%d.%d %s" % (*sys.version_info[:2], platform.machine()))') \
  || fail "$python cannot be started: install Python ${made_for% *}, or name one with PYTHON=..."
[ "$found" = "$made_for" ] || fail "this bundle is for Python $made_for, and $python is $found: name one with PYTHON=..."
"$python" -c 'import ensurepip' 2>/dev/null || fail "Python's venv module is missing; on Debian: apt install python3-venv"
sha256sum --check --quiet SHA256SUMS || fail "this folder is damaged: copy it again"
case $prefix in /*) ;; *) fail "$prefix is not an absolute path" ;; esac
[ ! -e "$prefix" ] || [ -L "$prefix" ] || fail "$prefix is there and is not a link that this installer made: name another"

target=$prefix-$version
before=
if [ -e "$target" ]; then  # kept until the new one is whole
  before=$target.before
  rm -rf "$before"
  mv "$target" "$before"
fi
trap '[ -z "$before" ] || { rm -rf "$target"; mv "$before" "$target"; }' EXIT
echo "Installing into $target ..."
"$python" -m venv "$target"
"$target/bin/python" -m pip --disable-pip-version-check install --quiet --no-cache-dir --no-index --find-links wheels \
  --require-hashes -r requirements.txt
"$target/bin/python" -m pip --disable-pip-version-check install --quiet --no-cache-dir --no-index --no-deps \
  wheels/oddlot-"$version"-*.whl
"$target/bin/oddlot" --help > /dev/null
[ -z "$before" ] || rm -rf "$before"
before=
ln -sfn "$target" "$prefix"
echo "$prefix/bin/oddlot is version $version."

if [ "$(id -u)" = 0 ] && [ -d /etc/systemd/system ] && command -v systemctl > /dev/null; then
  id oddlot > /dev/null 2>&1 || useradd --system --home-dir /var/lib/oddlot --shell /usr/sbin/nologin oddlot
  for unit in systemd/*; do
    sed "s|/opt/oddlot/|$prefix/|g" "$unit" > /etc/systemd/system/"$(basename "$unit")"
  done
  mkdir -p /etc/oddlot
  [ -e /etc/oddlot/oddlot.env ] || install -m 0640 -g oddlot oddlot.env /etc/oddlot/oddlot.env
  install -d -o oddlot -g oddlot -m 0750 /var/lib/oddlot
  # The commands as the service runs them: its user, its settings, its database.
  cat > "$programs/oddlot-service" << WRAPPER
#!/bin/sh
set -e
cd /var/lib/oddlot
exec setpriv --reuid=oddlot --regid=oddlot --init-groups env HOME=/var/lib/oddlot \\
  sh -c 'set -a; . /etc/oddlot/oddlot.env; exec $prefix/bin/oddlot "\$@"' oddlot "\$@"
WRAPPER
  chmod 755 "$programs/oddlot-service"
  "$programs/oddlot-service" --help > /dev/null || fail "the user oddlot cannot run $prefix/bin/oddlot"
  systemctl daemon-reload 2> /dev/null || true  # in a chroot there is nobody to tell
  echo "One PC: look at /etc/oddlot/oddlot.env, then: systemctl enable --now oddlot"
  echo "Commands that belong to the service: sudo oddlot-service jobs"
fi
