"""What a certificate's names let a service do."""

import pytest

from runtime.access.certificates import CertificatesError, parse
from runtime.access.rules import Caller
from runtime.settings import CommonSettings, SettingsError, load

BEARERS = parse("bridge.internal=scoring:rank,spiffe://feed/insights=insights:read+corrections:write")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        pytest.param(["localhost", "bridge.internal"], ("certificate:bridge.internal", {"scoring:rank"}), id="DNS"),
        pytest.param(
            ["spiffe://feed/insights"],
            ("certificate:spiffe://feed/insights", {"insights:read", "corrections:write"}),
            id="URI, two scopes",
        ),
        pytest.param(["localhost"], None, id="nobody who is known"),
        pytest.param(["bridge.internal.example"], None, id="a longer name"),
        pytest.param([], None, id="no certificate"),
    ],
)
def test_a_service_is_known_by_a_name_in_its_certificate(names: list[str], expected: tuple[str, set[str]] | None):
    caller = Caller(expected[0], "", frozenset(expected[1])) if expected else None
    assert BEARERS.caller(names) == caller


def test_a_scope_that_there_is_not_is_named():
    with pytest.raises(CertificatesError, match=r"there is no scope scoring:rang; there are admin, .*scoring:rank"):
        parse("a=scoring:rang")


@pytest.mark.parametrize("text", ["a", "a=", "=admin", "a=admin,", "a=admin+", "a b=admin"])
def test_what_is_no_list_of_names_is_refused(text: str):
    with pytest.raises(SettingsError, match="FEED_AUTH_CERTIFICATES="):
        load(CommonSettings, {"FEED_AUTH_CERTIFICATES": text})
