#!/bin/sh
# Installs the project and the locked packages of its image into a folder of its own: install.sh FOLDER
set -eu
prefix=$1
cd "$(dirname "$0")/../.."
# setup.sh names the version, too.
UV_VERSION=$(sed -n 's/^UV_VERSION=//p' deploy/setup.sh)

python3 -m venv --without-pip "$prefix"
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
python3 -m venv "$tools"
"$tools/bin/python" -m pip install --quiet --disable-pip-version-check "uv==$UV_VERSION"
export VIRTUAL_ENV="$prefix" UV_COMPILE_BYTECODE=1
"$tools/bin/uv" pip sync --quiet --require-hashes deploy/docker/requirements.lock
"$tools/bin/uv" pip install --quiet --no-deps .
"$tools/bin/uv" pip check --quiet
