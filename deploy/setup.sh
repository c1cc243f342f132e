#!/bin/sh
# Makes .venv with exactly the packages of requirements.lock. Names what is missing before anything fails.
set -eu
cd "$(dirname "$0")/.."

UV_VERSION=0.13.8
PYTHON=${PYTHON:-python3}

need() { # need WHAT WHY DEBIAN_PACKAGES MACOS
    echo "setup: $1 is missing ($2)." >&2
    echo "  Debian, Ubuntu: sudo apt-get install $3   (or: sh deploy/install-debian.sh)" >&2
    echo "  macOS:          $4" >&2
    exit 1
}

command -v "$PYTHON" >/dev/null 2>&1 || need "Python 3.11 or newer" "everything runs on it" python3 "brew install python"
"$PYTHON" -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' ||
    need "Python 3.11 or newer" "$("$PYTHON" --version) is too old; set PYTHON=… to a newer one" python3 "brew install python"
"$PYTHON" -c 'import ensurepip, venv' 2>/dev/null ||
    need "Python's venv module" "it makes the virtual environment" python3-venv "brew install python"
command -v cc >/dev/null 2>&1 ||
    need "a C compiler" "LightFM comes as source only" build-essential "xcode-select --install"
"$PYTHON" -c 'import os, sysconfig; raise SystemExit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' ||
    need "Python's headers (Python.h)" "LightFM comes as source only" python3-dev "brew install python"

[ -x .venv/bin/python ] || "$PYTHON" -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check "uv==$UV_VERSION"
export VIRTUAL_ENV="$PWD/.venv" UV_COMPILE_BYTECODE=1
echo "setup: installing the locked packages into .venv"
.venv/bin/uv pip sync --quiet --require-hashes requirements.lock
.venv/bin/uv pip install --quiet --no-deps --editable .
.venv/bin/uv pip check --quiet
