#!/bin/sh
# Runs pytest with these arguments. What fails is run once more, by itself: a machine that stood still for some seconds
# fails a test of what happens within them, and a fault fails both times (docs/decisions/0063).
set -u
cd "$(dirname "$0")/.."

.venv/bin/python -m pytest "$@"
code=$?
[ "$code" -eq 1 ] || exit "$code" # 1: tests failed; anything else: pytest itself did
echo "== The tests that failed, once more and by themselves =="
.venv/bin/python -m pytest "$@" -n 0 --last-failed --last-failed-no-failures none
code=$?
[ "$code" -ne 0 ] || echo "== Each of them passed by itself: what they failed on is above, and is to be looked at =="
exit "$code"
