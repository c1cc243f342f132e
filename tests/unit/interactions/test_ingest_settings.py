"""Settings of the ingest service that have a form of their own."""

import pytest

from interactions.settings import InteractionsSettings
from runtime.settings import SettingsError, load

NAME = "FEED_INTERACTIONS_CORS_ORIGINS"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param("", (), id="none"),
        pytest.param("https://app.example", ("https://app.example",), id="one"),
        pytest.param(
            "https://app.example,http://localhost:3000,http://[::1]:80",
            ("https://app.example", "http://localhost:3000", "http://[::1]:80"),
            id="several",
        ),
    ],
)
def test_origins_that_may_call(given: str, expected: tuple[str, ...]) -> None:
    assert load(InteractionsSettings, {NAME: given}).cors_origins == expected


@pytest.mark.parametrize("given", ["*", "https://*.example", "app.example", "null", "https://a.example/", "https://a,"])
def test_what_is_no_origin_stops_the_process(given: str) -> None:
    """A wildcard above all: pages of anybody could then write as anybody."""
    with pytest.raises(SettingsError, match=NAME):
        load(InteractionsSettings, {NAME: given})
