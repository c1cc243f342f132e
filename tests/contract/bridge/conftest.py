"""What all contract tests of the bridge share."""

import pytest

from bridge.adapters import reading

PATIENCE_S = 30.0


@pytest.fixture(autouse=True)
def patient_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a store reads is judged here, and not how long a busy machine takes for it."""
    bounded = reading.bounded
    monkeypatch.setattr(reading, "bounded", lambda what, _timeout_s: bounded(what, PATIENCE_S))
