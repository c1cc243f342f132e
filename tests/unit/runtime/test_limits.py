"""Who counts as whom, and what is not counted."""

import pytest

from runtime.errors import ThrottledError
from runtime.limits.rates import UNLIMITED, Limits, Rate, address_of, network_of


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        pytest.param("ipv4:10.1.2.3:55555", "10.1.2.3", id="IPv4"),
        pytest.param("ipv6:%5B2001:db8::1%5D:443", "2001:db8::/64", id="IPv6"),
        pytest.param("ipv6:[2001:db8::2]:443", "2001:db8::/64", id="the same network"),
        pytest.param("ipv6:%5B::ffff:10.1.2.3%5D:443", "10.1.2.3", id="IPv4 in IPv6"),
        pytest.param("unix:/tmp/feed-x/door", "", id="the same machine"),
        pytest.param("unix:", "", id="nothing"),
    ],
)
def test_a_peer_of_grpc_is_its_address_or_network(peer: str, address: str):
    assert address_of(peer) == address


def test_a_zone_is_no_part_of_an_address():
    assert network_of("fe80::1%eth0") == "fe80::/64"


def test_a_user_who_calls_too_often_is_told_when_to_come_again():
    clock = Clock()
    limits = Limits(Rate(2.0, 2), UNLIMITED, clock)
    limits.admit_user("u1")
    limits.admit_user("u1")
    with pytest.raises(ThrottledError) as refused:
        limits.admit_user("u1")
    assert (refused.value.reason, refused.value.kind) == ("USER_RATE", "user_rate")
    assert refused.value.retry_after_s == pytest.approx(0.5)

    limits.admit_user("u2")
    clock.now = 0.5
    limits.admit_user("u1")


def test_an_address_that_calls_too_often_is_refused_whoever_calls():
    limits = Limits(UNLIMITED, Rate(1.0, 1), Clock())
    limits.admit_peer("10.1.2.3")
    limits.admit_peer("10.1.2.4")
    with pytest.raises(ThrottledError) as refused:
        limits.admit_peer("10.1.2.3")
    assert refused.value.reason == "PEER_RATE"


@pytest.mark.parametrize("user_id", ["", "x" * 129])
def test_what_the_contract_refuses_anyway_fills_no_memory(user_id: str):
    limits = Limits(Rate(1.0, 1), UNLIMITED, Clock())
    for _ in range(3):
        limits.admit_user(user_id)
