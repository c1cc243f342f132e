#!/bin/sh
# Resolves requirements.lock (all extras and the dev group, every platform, with hashes) from pyproject.toml.
# With --check: fails when the lock file is not in step.
set -eu
cd "$(dirname "$0")/.."

resolve() { # resolve OUTPUT: packages already locked there keep their versions
    .venv/bin/uv pip compile pyproject.toml --quiet --universal --all-extras --group dev \
        --generate-hashes --no-header --no-annotate --output-file "$1"
}

if [ "${1:-}" != --check ]; then
    resolve requirements.lock
    exit 0
fi
copy=$(mktemp)
trap 'rm -f "$copy"' EXIT
cp requirements.lock "$copy"
resolve "$copy"
if ! diff -u requirements.lock "$copy" >&2; then
    echo "requirements.lock is not in step with pyproject.toml: run make lock" >&2
    exit 1
fi
