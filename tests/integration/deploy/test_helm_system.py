"""The pods of the chart as processes of this machine: its commands with its settings, in the order of Kubernetes."""

import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from deploy.local.kafka import LocalKafka
from deploy.local.postgres import LocalPostgres
from deploy.processes import NAMES
from runtime.secrets.signing import load_or_create_private_key, load_or_create_secret
from tests import helm
from tests.brokers import running
from tests.compose import DATA, PlainMachine, works
from tests.conftest import QUICK_MODEL, SMALL_LOG
from tests.databases import fresh_postgres_url
from tests.integration.deploy.test_helm import IMAGE, environ_of, pods
from tests.system import GRPC, HTTP, free_ports

SECRETS: Final = "/etc/feed"
URL: Final = "postgresql://user:secret@database/feed"


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    """The pods of the small installation, in the form of compose."""
    specs = pods(helm.template(["values-dev.yaml"], {"image": IMAGE}))
    return {
        name: {
            "command": pod["containers"][0]["args"],
            "environment": environ_of(pod),
            "healthcheck": {"test": ["CMD", "feed", "ready", name]},
        }
        for name, pod in specs.items()
    }


@pytest.fixture
def ports() -> Mapping[str, int]:
    """A free port for each setting of one."""
    named = [*(f"{name}_grpc" for name in GRPC), *(f"{name}_http" for name in HTTP)]
    return dict(zip(named, free_ports(), strict=False))


@pytest.fixture
def database(postgres: LocalPostgres) -> str:
    return fresh_postgres_url(postgres.url)


@pytest.fixture
def machine(tmp_path: Path, ports: Mapping[str, int], database: str) -> Iterator[PlainMachine]:
    own = {f"FEED_{name.upper()}_PORT": str(port) for name, port in ports.items()}
    with running(LocalKafka(tmp_path / "kafka")) as kafka:
        places = {
            URL: database,
            "kafka:9092": kafka.bootstrap_servers,
            "feed-scorer-0.feed-scorer-pods:50052": f"127.0.0.1:{ports['scorer_grpc']}",
            SECRETS: str(tmp_path / "secrets"),
        }
        yield PlainMachine(Path(sys.executable).parent, tmp_path, places, {**own, **QUICK_MODEL})


def provide_secrets(machine: PlainMachine, environ: Mapping[str, str]) -> None:
    """Makes what the chart's Secrets hold, as docs/kubernetes.md says."""
    secrets = machine.folder / "secrets"
    for name in ("api-keys", "scorer-key", "token-key", "model-signing"):
        (secrets / name).mkdir(parents=True)
    load_or_create_secret(secrets / "token-key/token.key")
    load_or_create_private_key(machine.folder / "keys/model_signing.pem")
    shutil.copy(machine.folder / "keys/model_signing.pub", secrets / "model-signing")
    for key, scopes in {"scorer-key/key": "scoring:rank", "app.key": "feed:read:any interactions:write:any"}.items():
        asked = " ".join(f"--scope {scope}" for scope in scopes.split())
        made = f"umask 077 && feed keys create {key[:3]} {asked} > {DATA}/secrets/{key}"
        machine.run({"entrypoint": ["sh", "-c"], "command": [made], "environment": environ})


@pytest.mark.long
@pytest.mark.kafka
@pytest.mark.postgres
def test_its_pods_are_a_whole_system(
    machine: PlainMachine, services: dict[str, dict[str, Any]], ports: Mapping[str, int], database: str
) -> None:
    provide_secrets(machine, services["bridge"]["environment"])
    machine.run(services["migrations"])
    machine.run({**services["bridge"], "command": ["topics", "apply", "--no-rights"]})
    machine.run({**services["retrain"], "command": SMALL_LOG})
    machine.run(services["retrain"])
    for name in NAMES:
        machine.start(name, services[name])
    for name in NAMES:
        machine.until_healthy(name, services[name])

    works(ports, (machine.folder / "secrets" / "app.key").read_text().strip(), database)
    machine.run(services["prune"])
    assert set(machine.stop().values()) == {0}
