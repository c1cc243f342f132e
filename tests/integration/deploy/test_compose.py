"""The image and `docker compose`, without Docker: what they install, and what they run in which order."""

import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from deploy.local.kafka import LocalKafka
from deploy.local.postgres import LocalPostgres
from deploy.processes import NAMES
from tests.brokers import running
from tests.commands import bare_environ
from tests.compose import FILE, PlainMachine, copy_context, is_server, services, works
from tests.conftest import QUICK_MODEL, SMALL_LOG
from tests.databases import fresh_postgres_url
from tests.system import GRPC, HTTP, ROOT, free_ports


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the image's install script put its programs, out of what Docker may see."""
    source, image = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("image") / "feed"
    copy_context(source)
    subprocess.run(
        ["sh", str(source / "deploy/docker/install.sh"), str(image)],
        env={**bare_environ(), "UV_COMPILE_BYTECODE": "0"},
        check=True,
        timeout=500,
    )
    return image / "bin"


def test_the_files_are_what_docker_expects() -> None:
    subprocess.run([Path(sys.executable).with_name("hadolint"), ROOT / "deploy/docker/Dockerfile"], check=True)
    check = Path(sys.executable).with_name("check-jsonschema")
    subprocess.run([check, "--builtin-schema", "vendor.compose-spec", FILE], check=True, capture_output=True)


def test_every_process_is_a_service_that_may_write_nowhere_but_in_its_volume() -> None:
    servers = {name for name, each in services().items() if is_server(each)}
    assert servers == set(NAMES)
    for each in services().values():
        assert (each["read_only"], each["cap_drop"], each["user"]) == (True, ["ALL"], "10001")


def test_prometheus_asks_the_same_jobs_as_elsewhere() -> None:
    here = scraped("deploy/docker/prometheus.yml")
    assert set(here) == {f"feed-{name}" for name in NAMES}
    ports = {job: target.rpartition(":")[2] for job, target in scraped("deploy/prometheus/prometheus.yml").items()}
    assert here == {job: f"{job.removeprefix('feed-')}:{port}" for job, port in ports.items()}


def scraped(path: str) -> dict[str, str]:
    """The target of each job."""
    jobs = yaml.safe_load((ROOT / path).read_text())["scrape_configs"]
    return {job["job_name"]: job["static_configs"][0]["targets"][0] for job in jobs}


def test_nothing_is_published_but_on_this_machine() -> None:
    published = [
        port for each in yaml.safe_load(FILE.read_text())["services"].values() for port in each.get("ports", ())
    ]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


@pytest.fixture
def ports() -> Mapping[str, int]:
    """A free port for each setting of one."""
    named = [*(f"{name}_grpc" for name in GRPC), *(f"{name}_http" for name in HTTP)]
    return dict(zip(named, free_ports(), strict=False))


@pytest.fixture
def database(postgres: LocalPostgres) -> str:
    return fresh_postgres_url(postgres.url)


@pytest.fixture
def machine(programs: Path, tmp_path: Path, ports: Mapping[str, int], database: str) -> Iterator[PlainMachine]:
    own = {f"FEED_{name.upper()}_PORT": str(port) for name, port in ports.items()}
    with running(LocalKafka(tmp_path / "kafka")) as kafka:
        places = {
            "postgresql://feed:feed@pgbouncer:6432/feed": database,
            "kafka:9092": kafka.bootstrap_servers,
            "scorer:50052": f"127.0.0.1:{ports['scorer_grpc']}",
        }
        yield PlainMachine(programs, tmp_path, places, {**own, **QUICK_MODEL, "FEED_TRAINER_MLFLOW_ENABLED": "false"})


@pytest.mark.kafka
@pytest.mark.postgres
def test_its_commands_in_its_order_are_a_whole_system(
    machine: PlainMachine, ports: Mapping[str, int], database: str
) -> None:
    servers = {name: each for name, each in services().items() if is_server(each)}
    for name, service in services().items():
        if name in servers:
            machine.start(name, service)
        else:
            command = [part.replace("feed seed", shlex.join(("feed", *SMALL_LOG))) for part in service["command"]]
            machine.run({**service, "command": command})
    for name, service in servers.items():
        machine.until_healthy(name, service)

    works(ports, (machine.folder / "keys" / "app.key").read_text().strip(), database)
    assert set(machine.stop().values()) == {0}
