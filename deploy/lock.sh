#!/bin/sh
# Resolves requirements.lock (all extras and the dev group, every platform, with hashes) from pyproject.toml, and out of
# the same versions deploy/docker/requirements.lock: what the image has.
# With --check: fails when a lock file is not in step.
set -eu
cd "$(dirname "$0")/.."

IMAGE=deploy/docker/requirements.lock

compile() { # compile OUTPUT OPTIONS: packages already locked there keep their versions
    output=$1
    shift
    .venv/bin/uv pip compile pyproject.toml --quiet --universal --generate-hashes --no-header --no-annotate \
        --output-file "$output" "$@"
}

resolve() { # resolve OUTPUT IMAGE_OUTPUT
    compile "$1" --all-extras --group dev
    compile "$2" --extra server --extra train --extra mlflow --extra segment --extra msk --constraint "$1"
}

if [ "${1:-}" != --check ]; then
    resolve requirements.lock "$IMAGE"
    exit 0
fi
copies=$(mktemp -d)
trap 'rm -rf "$copies"' EXIT
cp requirements.lock "$copies/all"
cp "$IMAGE" "$copies/image"
resolve "$copies/all" "$copies/image"
if ! { diff -u requirements.lock "$copies/all" && diff -u "$IMAGE" "$copies/image"; } >&2; then
    echo "the lock files are not in step with pyproject.toml: run make lock" >&2
    exit 1
fi
