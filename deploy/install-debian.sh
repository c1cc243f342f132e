#!/bin/sh
# Installs the Debian or Ubuntu packages that setup needs, only those that are missing, and says which:
#   python3-venv     makes the virtual environment
#   build-essential  compiles LightFM, which comes as source only
#   python3-dev      headers of Python, for the same
#   git              the check that the contract has not been broken
#   chromium         with --tests: the browser that tests of tracker.js drive
#   default-jre-headless  with --tests: Java 17 or 21, on which Spark runs
#   iproute2         with --tests: hosts of the tests' own, in network namespaces, that can be cut off
#   nodejs, npm      with --tests: the example client in Node
#   prometheus       with --tests: Prometheus and promtool, which try the alerts (20 MB to load, 100 MB on disk)
#   pgbouncer        with --tests: pools connections to PostgreSQL; built where the package is older than 1.22 (deploy/install-pgbouncer.sh)
set -eu

missing=""
command -v python3 >/dev/null 2>&1 || missing="$missing python3"
python3 -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python3-venv"
command -v cc >/dev/null 2>&1 || missing="$missing build-essential"
python3 -c 'import os, sysconfig; raise SystemExit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' 2>/dev/null ||
    missing="$missing python3-dev"
command -v make >/dev/null 2>&1 || missing="$missing make"
if [ "${1:-}" = --tests ]; then
    command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 || command -v google-chrome >/dev/null 2>&1 || missing="$missing chromium"
    command -v java >/dev/null 2>&1 || missing="$missing default-jre-headless"
    command -v ip >/dev/null 2>&1 || missing="$missing iproute2"
    command -v node >/dev/null 2>&1 || missing="$missing nodejs"
    command -v npm >/dev/null 2>&1 || missing="$missing npm"
    command -v promtool >/dev/null 2>&1 || missing="$missing prometheus"
fi

if [ -n "$missing" ]; then
    echo "system packages: installing$missing"
    as_root=""
    [ "$(id -u)" = 0 ] || as_root=sudo
    $as_root apt-get update -qq
    # shellcheck disable=SC2086  # a list of words on purpose
    DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y --no-install-recommends $missing
else
    echo "system packages: all there"
fi
[ "${1:-}" != --tests ] || sh "$(dirname "$0")/install-pgbouncer.sh"
