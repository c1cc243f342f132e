"""Settings: all errors at once, each with the name, the value and the accepted range."""

from pathlib import Path

import pytest
from pydantic import Field, SecretStr

from runtime.settings import CommonSettings, SettingsError, describe, load


class BridgeLike(CommonSettings):
    bridge_grpc_port: int = Field(50051, ge=0, le=65535)
    bridge_deadline_ms: int = Field(150, ge=1, le=10_000)


def test_defaults_hold_when_nothing_is_set():
    settings = load(BridgeLike, {})
    assert settings.bridge_grpc_port == 50051
    assert settings.effective_database_url == "sqlite:///var/feed.db"
    assert settings.scorer_target_list == ("127.0.0.1:50052",)


def test_values_are_read_from_the_given_environment_only(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FEED_BRIDGE_GRPC_PORT", "1")
    settings = load(BridgeLike, {"FEED_BRIDGE_GRPC_PORT": "6000", "FEED_DATA_DIR": "/data", "PATH": "/bin"})
    assert (settings.bridge_grpc_port, settings.data_dir) == (6000, Path("/data"))


def test_every_error_is_reported_at_once_with_name_value_and_range():
    environ = {
        "FEED_BRIDGE_GRPC_PORT": "99999",
        "FEED_BRIDGE_DEADLINE_MS": "soon",
        "FEED_BRIDGE_DEADLINE": "150",
        "FEED_DATABASE_URL": "mysql://x",
    }
    with pytest.raises(SettingsError) as caught:
        load(BridgeLike, environ)
    text = str(caught.value)
    assert "FEED_BRIDGE_GRPC_PORT='99999'" in text
    assert "(accepted: 0 to 65535)" in text
    assert "FEED_BRIDGE_DEADLINE_MS='soon'" in text
    assert "FEED_BRIDGE_DEADLINE: unknown setting. Did you mean FEED_BRIDGE_DEADLINE_MS?" in text
    assert "FEED_DATABASE_URL='mysql://x'" in text
    assert len(caught.value.problems) == 4


@pytest.mark.parametrize(
    ("name", "known"),
    [
        pytest.param("FEED_SCORER_GRPC_PORT", True, id="another process's own"),
        pytest.param("FEED_SCORER_TARGETS", True, id="shared"),
        pytest.param("FEED_BRIDGE_GRPC_PROT", False, id="misspelt"),
        pytest.param("FEED_KAFKA_BOOTSTRAP", False, id="shortened"),
        pytest.param("FEEDER", True, id="not ours"),
    ],
)
def test_only_names_that_nobody_reads_are_refused(name: str, known: bool):
    environ = {name: "127.0.0.1:1"}
    if known:
        load(BridgeLike, environ)
    else:
        with pytest.raises(SettingsError, match=f"{name}: unknown setting"):
            load(BridgeLike, environ)


def test_secrets_are_shown_neither_in_the_description_nor_in_errors():
    class WithSecret(CommonSettings):
        bridge_secret: SecretStr = Field(SecretStr(""), max_length=3)

    class Shown(CommonSettings):
        bridge_secret: SecretStr = SecretStr("")

    shown = describe(load(Shown, {"FEED_BRIDGE_SECRET": "hunter2"}))
    assert "hunter2" not in "\n".join(shown)
    with pytest.raises(SettingsError) as caught:
        load(WithSecret, {"FEED_BRIDGE_SECRET": "hunter2"})
    assert "hunter2" not in str(caught.value)


def test_settings_cannot_be_changed():
    settings = load(BridgeLike, {})
    with pytest.raises(ValueError, match="frozen"):
        settings.bridge_grpc_port = 1


def test_datadogs_own_names_stand_for_the_tags_of_a_service():
    datadog = {"DD_ENV": "prod", "DD_SERVICE": "my-feed", "DD_VERSION": "7"}
    assert load(BridgeLike, datadog).datadog_tags("feed-bridge") == ["env:prod", "service:my-feed", "version:7"]
    ours = {"FEED_ENV": "test", "FEED_SERVICE": "feed", "FEED_VERSION": "8"}
    assert load(BridgeLike, datadog | ours).datadog_tags("feed-bridge") == ["env:test", "service:feed", "version:8"]


def test_without_any_the_service_is_the_process():
    settings = load(BridgeLike, {"DD_ENV": ""})
    assert settings.datadog_tags("feed-bridge") == ["service:feed-bridge"]
    assert settings.trace_resource("feed-bridge") == {"service.name": "feed-bridge"}
