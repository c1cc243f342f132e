"""Where `feed up` tells the insights to look for metrics."""

from deploy.up import watched
from insights.settings import InsightsSettings
from runtime.settings import load


def test_every_process_is_watched_on_the_port_that_it_has():
    environ = {"FEED_SINK_HTTP_PORT": "9083", "FEED_SINK_HOST": "127.0.0.9"}
    settings = load(InsightsSettings, {"FEED_INSIGHTS_WATCHED": watched(environ)})
    assert dict(settings.watched) == {
        "bridge": "http://127.0.0.1:8080/metrics",
        "interactions": "http://127.0.0.1:8081/metrics",
        "scorer": "http://127.0.0.1:8082/metrics",
        "sink": "http://127.0.0.9:9083/metrics",
        "trainer": "http://127.0.0.1:8084/metrics",
    }


def test_by_default_the_default_ports_are_watched():
    assert sorted(load(InsightsSettings, {}).watched) == sorted(
        load(InsightsSettings, {"FEED_INSIGHTS_WATCHED": watched({})}).watched
    )
