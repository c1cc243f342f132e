#!/bin/sh
# Installs PgBouncer 1.22 or later, from which on a pool of transactions keeps prepared statements: the distribution's
# package, or, where that is older (Debian 12), Debian 13's source package, built into /usr/local/bin in a minute.
set -eu

oldest=1.22
installed() { pgbouncer --version 2>/dev/null | sed -n 's/^PgBouncer //p'; }
is_new() { [ -n "$1" ] && dpkg --compare-versions "$1" ge "$oldest"; }

if is_new "$(installed)"; then
    echo "pgbouncer: $(installed) is there"
    exit 0
fi
as_root=""
[ "$(id -u)" = 0 ] || as_root=sudo
$as_root apt-get update -qq
if is_new "$(apt-cache policy pgbouncer | sed -n 's/^ *Candidate: //p')"; then
    DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y --no-install-recommends pgbouncer
    exit 0
fi

echo "pgbouncer: the package is older than $oldest; building that of Debian 13"
DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y --no-install-recommends build-essential libevent-dev libssl-dev pkg-config
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
mkdir -p "$place/lists/partial" "$place/cache/archives/partial"
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' | head -n 1)
echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >"$place/sources.list"
cd "$place"
# Lists of its own: nothing else of this machine comes from Debian 13.
for command in update "source --download-only pgbouncer"; do
    # shellcheck disable=SC2086  # a list of words on purpose
    apt-get -qq -o Dir::Etc::sourcelist="$place/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::State::lists="$place/lists" -o Dir::Cache="$place/cache" -o APT::Sandbox::User=root $command
done
tar -xzf pgbouncer_*.orig.tar.gz
cd pgbouncer-*/
./configure --quiet --without-cares --without-pam
make --quiet -j2
$as_root install -m 755 pgbouncer /usr/local/bin/pgbouncer
echo "pgbouncer: $(installed) is built"
