"""The Helm chart: what Kubernetes takes, what the processes take, and nothing that the code does not have."""

import json
import tomllib
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import pytest
import yaml  # type: ignore[import-untyped]
from kubernetes_validate import validate  # type: ignore[import-untyped]

from deploy.monitoring.catalogue import Kind
from deploy.monitoring.made import DASHBOARD_FOLDER, RULES, Monitoring
from deploy.processes import _PROCESSES as PROCESSES
from deploy.processes import NAMES
from deploy.retention_settings import RetentionSettings
from deploy.topics import declared
from runtime.settings import CommonSettings, load
from tests import checkov, helm
from tests.system import ROOT
from trainer.adapters.run_subprocess import EXIT_REFUSED
from trainer.domain.runs import JOB_NAME, MISFIRE_GRACE
from trainer.settings import TrainerSettings

ENVIRONMENTS: Final = ("dev", "staging", "production")
IMAGE: Final = {"repository": "registry.example/feed", "tag": "1.2.3", "digest": f"sha256:{'0' * 64}"}
# What the Prometheus operator brings; its rules are checked by promtool elsewhere.
CUSTOM: Final = {"PodMonitor", "PrometheusRule"}
# Checks that do not hold here, each with its reason.
POLICY_EXCEPTIONS: Final = {
    "CKV_K8S_11": "a CPU limit throttles, and what is throttled is late",
    "CKV_K8S_15": "a tag with its digest is always the same image",
    "CKV_K8S_35": "the database's URL has no setting that names a file",
}

Manifest = Mapping[str, Any]


@pytest.fixture(scope="module", params=ENVIRONMENTS)
def rendered(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    """All objects of an environment."""
    return helm.template([f"values-{request.param}.yaml"], {"image": IMAGE})


@pytest.fixture(scope="module")
def production() -> list[dict[str, Any]]:
    return helm.template(["values-production.yaml"], {"image": IMAGE})


def of_kind(objects: list[dict[str, Any]], *kinds: str) -> dict[str, dict[str, Any]]:
    """Objects by their component."""
    return {
        each["metadata"]["labels"]["app.kubernetes.io/component"]: each for each in objects if each["kind"] in kinds
    }


def pods(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Specs of pods by their component."""
    found = of_kind(objects, "Deployment", "StatefulSet", "Job", "CronJob").items()
    specs = {name: each["spec"].get("jobTemplate", each)["spec"]["template"]["spec"] for name, each in found}
    assert specs.keys() == {*NAMES, "retrain", "prune", "migrations"}
    return specs


def environ_of(pod: Manifest) -> dict[str, str]:
    """What the process of a pod is given; whatever comes from a Secret is the database's URL."""
    (container,) = pod["containers"]
    return {each["name"]: each.get("value", "postgresql://user:secret@database/feed") for each in container["env"]}


def settings_of(component: str) -> type[CommonSettings]:
    others: dict[str, type[CommonSettings]] = {
        "retrain": TrainerSettings,
        "prune": RetentionSettings,
        "migrations": CommonSettings,
    }
    if component in others:
        return others[component]
    process = PROCESSES[component]
    found: type[CommonSettings] = getattr(import_module(process.module), process.settings)
    return found


def test_helm_finds_nothing_wrong() -> None:
    assert "[ERROR]" not in helm.lint()


def test_the_chart_is_of_this_release() -> None:
    chart = yaml.safe_load((helm.CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_kubernetes_knows_every_field(rendered: list[dict[str, Any]]) -> None:
    assert len(rendered) > len(NAMES)
    for each in rendered:
        if each["kind"] not in CUSTOM:
            validate(each, ".".join(helm.KUBERNETES.split(".")[:2]), strict=True)


def test_names_are_unique_and_no_secret_is_made(rendered: list[dict[str, Any]]) -> None:
    names = [(each["kind"], each["metadata"]["name"]) for each in rendered]
    assert len(set(names)) == len(names)
    assert "Secret" not in {kind for kind, _ in names}


@pytest.mark.parametrize("release", ["feed", "blue"])
def test_a_release_has_names_of_its_own(release: str) -> None:
    objects = helm.template(["values-dev.yaml"], {"image": IMAGE}, release)
    prefix = "feed" if release == "feed" else "blue-feed"
    assert all(each["metadata"]["name"].startswith(f"{prefix}-") for each in objects)


def test_every_process_takes_its_settings(rendered: list[dict[str, Any]]) -> None:
    """A name that a process does not know, a value it does not take or a contradiction would stop it."""
    for component, pod in pods(rendered).items():
        load(settings_of(component), environ_of(pod))


def test_a_process_has_the_ports_and_the_command_of_the_code(rendered: list[dict[str, Any]]) -> None:
    specs, services = pods(rendered), of_kind(rendered, "Service")
    for name in NAMES:
        settings = load(settings_of(name), environ_of(specs[name]))
        (container,) = specs[name]["containers"]
        ports = {"http": getattr(settings, f"{name}_http_port")}
        if hasattr(settings, f"{name}_grpc_port"):
            ports["grpc"] = getattr(settings, f"{name}_grpc_port")
        assert tuple(container["args"]) == PROCESSES[name].command
        assert {each["name"]: each["containerPort"] for each in container["ports"]} == ports
        assert {each["name"]: each["port"] for each in services[name]["spec"]["ports"]} == ports
        assert getattr(settings, f"{name}_host") == "0.0.0.0"


def test_kubernetes_adds_no_settings(rendered: list[dict[str, Any]]) -> None:
    """For a service feed-bridge it would set FEED_BRIDGE_PORT, which no process knows."""
    assert {pod["enableServiceLinks"] for pod in pods(rendered).values()} == {False}


def test_a_process_may_finish_what_it_has_begun(rendered: list[dict[str, Any]]) -> None:
    for name in NAMES:
        pod = pods(rendered)[name]
        assert pod["terminationGracePeriodSeconds"] > load(settings_of(name), environ_of(pod)).drain_s


def test_what_a_process_reads_is_mounted(rendered: list[dict[str, Any]]) -> None:
    for pod in pods(rendered).values():
        (container,) = pod["containers"]
        mounted = [each["mountPath"] for each in container["volumeMounts"]]
        read = [value for value in environ_of(pod).values() if value.startswith("/")]
        assert all(any(path.startswith(f"{place}/") for place in mounted) for path in read), (read, mounted)


def test_a_secret_of_ones_own_is_mounted_where_it_is_said() -> None:
    """The nightly run tells Snowflake, and the schedule does what the run could not."""
    key = {"FEED_TRAINER_SNOWFLAKE_PRIVATE_KEY_FILE": "/etc/feed/snowflake/key.p8"}
    values = {"image": IMAGE, "trainer": {"secretFiles": {"snowflake": "of-snowflake"}, "settings": key}}
    specs = pods(helm.template(["values-dev.yaml"], values))
    for name in ("trainer", "retrain"):
        assert {"name": "snowflake", "secret": {"secretName": "of-snowflake", "defaultMode": 0o440}} in specs[name][
            "volumes"
        ]
        assert environ_of(specs[name]).items() >= key.items()


def test_a_bridge_has_every_scorer_that_there_may_be_by_its_own_name(rendered: list[dict[str, Any]]) -> None:
    scorers = of_kind(rendered, "StatefulSet")["scorer"]
    scaler = of_kind(rendered, "HorizontalPodAutoscaler").get("scorer")
    most = scaler["spec"]["maxReplicas"] if scaler else scorers["spec"]["replicas"]
    name, service = scorers["metadata"]["name"], scorers["spec"]["serviceName"]
    bridge = environ_of(pods(rendered)["bridge"])
    targets = [f"{name}-{number}.{service}:50052" for number in range(most)]
    assert bridge["FEED_SCORER_TARGETS"].split(",") == targets
    (headless,) = (each for each in rendered if each["kind"] == "Service" and each["metadata"]["name"] == service)
    assert (headless["spec"]["clusterIP"], headless["spec"]["publishNotReadyAddresses"]) == ("None", True)


def test_the_insights_look_at_as_many_scorers_as_there_are_at_least(rendered: list[dict[str, Any]]) -> None:
    scaler = of_kind(rendered, "HorizontalPodAutoscaler").get("scorer")
    scorers = of_kind(rendered, "StatefulSet")["scorer"]["spec"]
    watched = environ_of(pods(rendered)["insights"])["FEED_INSIGHTS_WATCHED"].split(",")
    least = scaler["spec"]["minReplicas"] if scaler else scorers["replicas"]
    assert len([each for each in watched if scorers["serviceName"] in each]) == least


def test_the_journal_outlives_its_pod(rendered: list[dict[str, Any]]) -> None:
    stateful = of_kind(rendered, "StatefulSet")["interactions"]["spec"]
    (claim,) = stateful["volumeClaimTemplates"]
    assert claim["metadata"]["name"] == "data"
    assert stateful["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    assert "data" not in {each["name"] for each in stateful["template"]["spec"]["volumes"]}


def test_there_are_no_more_sinks_than_partitions(rendered: list[dict[str, Any]]) -> None:
    partitions = {topic.name: topic.partitions for topic in declared().topics}
    assert of_kind(rendered, "StatefulSet")["sink"]["spec"]["replicas"] <= partitions["feed.interactions.v1"]


def test_the_nightly_run_is_the_only_one_and_gives_up_in_time(rendered: list[dict[str, Any]]) -> None:
    job = of_kind(rendered, "CronJob")["retrain"]
    spec = job["spec"]
    assert job["metadata"]["name"] == "feed-lightfm-retrain"
    assert job["metadata"]["labels"]["job"] == JOB_NAME == "feed_lightfm_retrain"
    assert (spec["schedule"], spec["timeZone"], spec["concurrencyPolicy"]) == ("0 2 * * *", "Etc/UTC", "Forbid")
    assert spec["startingDeadlineSeconds"] == MISFIRE_GRACE.total_seconds()
    assert spec["jobTemplate"]["spec"]["activeDeadlineSeconds"] < 24 * 3600
    (rule,) = spec["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
    assert (rule["action"], rule["onExitCodes"]["values"]) == ("FailJob", [EXIT_REFUSED])
    schedule = load(TrainerSettings, environ_of(pods(rendered)["trainer"]))
    assert not schedule.trainer_schedule_enabled
    assert spec["schedule"].split()[:2] == [str(schedule.trainer_schedule_minute), str(schedule.trainer_schedule_hour)]


def test_the_tables_come_before_the_processes(rendered: list[dict[str, Any]]) -> None:
    job = of_kind(rendered, "Job")["migrations"]
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["db", "upgrade"]


def test_what_bridges_are_scaled_by_is_a_metric_of_theirs(
    production: list[dict[str, Any]], monitoring: Monitoring
) -> None:
    scaler = of_kind(production, "HorizontalPodAutoscaler")["bridge"]["spec"]
    names = [each["pods"]["metric"]["name"] for each in scaler["metrics"] if each["type"] == "Pods"]
    (metric,) = (each for each in monitoring.metrics if each.name in names)
    assert (metric.kind, metric.processes) == (Kind.GAUGE, ("bridge",))


def test_ingest_is_never_scaled_down_by_itself(production: list[dict[str, Any]]) -> None:
    behaviour = of_kind(production, "HorizontalPodAutoscaler")["interactions"]["spec"]["behavior"]
    assert behaviour["scaleDown"]["selectPolicy"] == "Disabled"


def test_who_is_scaled_has_no_number_of_its_own(production: list[dict[str, Any]]) -> None:
    """An upgrade would set it back."""
    scaled = [each["spec"]["scaleTargetRef"]["name"] for each in production if "scaleTargetRef" in each.get("spec", {})]
    found = {each["metadata"]["name"]: each for each in production if each["kind"] in ("Deployment", "StatefulSet")}
    assert scaled
    assert not [name for name in scaled if "replicas" in found[name]["spec"]]


@pytest.fixture(scope="module")
def monitoring() -> Monitoring:
    return Monitoring()


def test_prometheus_gets_the_generated_rules_and_the_jobs_that_they_name(production: list[dict[str, Any]]) -> None:
    (rules,) = (each for each in production if each["kind"] == "PrometheusRule")
    made = [yaml.safe_load(path.read_text())["groups"] for path in sorted((ROOT / RULES).glob("*.yml"))]
    assert rules["spec"]["groups"] == [group for groups in made for group in groups]
    jobs = {
        relabelled["replacement"]
        for each in of_kind(production, "PodMonitor").values()
        for endpoint in each["spec"]["podMetricsEndpoints"]
        for relabelled in endpoint["relabelings"]
    }
    assert jobs == {f"feed-{name}" for name in NAMES}


def test_grafana_gets_the_generated_dashboards(production: list[dict[str, Any]]) -> None:
    shipped = {
        name: json.loads(text)
        for each in production
        if each["kind"] == "ConfigMap"
        for name, text in each["data"].items()
    }
    assert shipped == {path.name: json.loads(path.read_text()) for path in (ROOT / DASHBOARD_FOLDER).glob("*.json")}


def ways(objects: list[dict[str, Any]]) -> Iterator[tuple[str, str, int]]:
    """Who may call whom within the release, and on which port, as far as both sides let it through."""
    policies = of_kind(objects, "NetworkPolicy")
    for caller, policy in policies.items():
        for name, port in _peers(policy, "egress", "to"):
            if (caller, port) in set(_peers(policies[name], "ingress", "from")):
                yield caller, name, port


def _peers(policy: Manifest, direction: str, side: str) -> Iterator[tuple[str, int]]:
    for rule in policy["spec"][direction]:
        for peer in rule.get(side, ()):
            labels = peer.get("podSelector", {}).get("matchLabels", {})
            if "app.kubernetes.io/component" in labels:
                yield from ((labels["app.kubernetes.io/component"], port["port"]) for port in rule["ports"])


def test_only_who_must_talk_may(rendered: list[dict[str, Any]]) -> None:
    ports = {"bridge": 8080, "scorer": 8082, "interactions": 8081, "sink": 8083, "trainer": 8084}
    watched = {("insights", name, port) for name, port in ports.items()}
    assert set(ways(rendered)) == watched | {("bridge", "scorer", 50052)}


def test_every_pod_has_a_policy_for_both_directions(rendered: list[dict[str, Any]]) -> None:
    policies = of_kind(rendered, "NetworkPolicy")
    assert policies.keys() == pods(rendered).keys()
    assert {tuple(each["spec"]["policyTypes"]) for each in policies.values()} == {("Ingress", "Egress")}


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"image": {**IMAGE, "repository": ""}}, "image.repository is needed"),
        ({"image": {**IMAGE, "tag": "latest"}}, "image"),
        ({"kafka": {"bootstrapServers": ""}}, "kafka.bootstrapServers is needed"),
        ({"auth": {"mode": "off"}}, "auth"),
        ({"auth": {"mode": "jwt"}}, "auth.issuer is needed"),
        ({"kafka": {"saslMechanism": "AWS_MSK_IAM"}}, "kafka.awsRegion is needed"),
        ({"brigde": {"replicas": 3}}, "brigde"),
        ({"bridge": {"settings": {"LOG_LEVEL": "DEBUG"}}}, "LOG_LEVEL"),
        ({"sink": {"replicas": "2"}}, "replicas"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_wrong_values_are_refused_by_name(values: dict[str, Any], complaint: str) -> None:
    with pytest.raises(helm.HelmError, match=complaint):
        helm.template(["values-dev.yaml"], {"image": IMAGE, **values})


def test_nothing_is_against_policy(production: list[dict[str, Any]], tmp_path: Path) -> None:
    path = tmp_path / "production.yaml"
    path.write_text(yaml.safe_dump_all(production))
    assert checkov.findings(path, "kubernetes", POLICY_EXCEPTIONS) == []
