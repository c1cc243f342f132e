"""Settings of the bridge: ranges kept, milliseconds made seconds, the breaker's switch."""

import pytest

from bridge.domain.breaker import Breaker, BreakerPolicy, MemoryState, State
from bridge.domain.deadline import DeadlinePolicy
from bridge.domain.outcome import Verdict
from bridge.domain.retry import RetryPolicy
from bridge.settings import BridgeSettings
from runtime.settings import SettingsError, load


def test_the_defaults_are_the_policies_own() -> None:
    settings = load(BridgeSettings, {})
    assert settings.deadline_policy() == DeadlinePolicy()
    assert settings.retry_policy() == RetryPolicy()
    assert settings.breaker_policy() == BreakerPolicy()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FEED_BRIDGE_GRPC_PORT", "70000"),
        ("FEED_BRIDGE_DEADLINE_MS", "5"),
        ("FEED_BRIDGE_MAX_RETRIES", "3"),
        ("FEED_BRIDGE_BREAKER_FAILURE_SHARE", "0"),
        ("FEED_BRIDGE_CANDIDATES", "many"),
        ("FEED_BRIDGE_DEADLINE", "150"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        load(BridgeSettings, {name: value})


def test_the_breaker_can_be_switched_off() -> None:
    """R06 asks what the retry budget does alone."""
    policy = load(BridgeSettings, {"FEED_BRIDGE_BREAKER_ENABLED": "false"}).breaker_policy()
    breaker = Breaker(policy, MemoryState())
    for number in range(1_000):
        permit = breaker.acquire(number * 0.01, 0.5)
        assert permit is not None
        breaker.record(permit, Verdict.FAILURE, number * 0.01, 0.5)
    assert breaker.state is State.CLOSED
