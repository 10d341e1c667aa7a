"""A real Prometheus finds operator and server by their PodMonitorings on a real API server, and evaluates the Rules.

Without a node the two run as processes here, and the pods that stand for them are objects alone.
"""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from devcluster import cluster, monitoring, programs
from devcluster.control_plane import answers, free_ports
from devcluster.progress import Reporter
from scripts import panels
from tests.contract.monitored import alerts
from tests.integration.prometheus import Prometheus, alert_has_its_series, asking, query_has_an_answer, rules_record
from tests.integration.world import IMAGE, NAMESPACE, ROOT, Kubectl, Operator, run_of, until, until_reason
from tests.unit.operator.bucket_server import Buckets
from tests.workloads.server import real, samples

# Series that are not there without a node, after a minute in good order, and why.
UNTRAINED = "without a node no run trains"
NO_WEEK = "nothing was predicted between six hours and a week ago"
NONE_FAILED = "no request was answered 5xx"
ABSENT = {
    "trainingrun_seconds_bucket": UNTRAINED,
    "trainingrun_stage_seconds_bucket": UNTRAINED,
    "trainingrun_stage_seconds_count": UNTRAINED,
    "trainingrun_progress_ratio": UNTRAINED,
    "trainingrun_epoch": UNTRAINED,
    "trainingrun_val_accuracy": UNTRAINED,
    "trainingrun_end_timestamp_seconds True": UNTRAINED,
    "modelserver_condition RolledBack": "no model was let in",
    "model_server:class_share:increase7d": NO_WEEK,
    "model_server:confidence:mean7d": NO_WEEK,
    "model_server:predictions:increase7d": NO_WEEK,
    "model_server:errors:increase6h": NONE_FAILED,
    "model_server:errors:increase3d": NONE_FAILED,
    "mlops_operator_reconcile_total error": "no pass failed",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[real.Server]:
    """The inference server, with a client that asks it all the time."""
    folder = tmp_path_factory.mktemp("server")
    started = real.start(samples.write_model(folder), folder)
    with asking(f"http://127.0.0.1:{started.port}/predict", [samples.picture(), b"no picture"]):
        yield started
    started.stop()


@pytest.fixture(scope="module")
def watched(kubectl: Kubectl, buckets: Buckets, server: real.Server, tmp_path_factory) -> Iterator[Operator]:
    """The operator with a run that failed and a ModelServer, for which it has made a PodMonitoring."""
    env = {
        "SERVER_IMAGE": IMAGE,
        "TRAINER_IMAGE": IMAGE,
        "BUCKET": "empty",
        "ALLOWED_REGISTRIES": "localhost:5000",
        "STORAGE_EMULATOR_HOST": buckets.url,
        # Its /health stands for MLflow's.
        "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{server.ops_port}",
    }
    operator = Operator(kubectl, tmp_path_factory.mktemp("operator"), env)
    operator.start()
    try:
        kubectl("apply", "-f-", given=run_of("hopeless"))
        until_reason(kubectl, "hopeless", "DataError")
        model = {"uri": "gs://photos/models/cats-dogs/v/model.pt", "sha256": "0" * 64}
        off = {"gate": {"policy": "None"}, "smoke": {"policy": "None"}}
        kind = {"apiVersion": "mlops.cats-dogs.io/v1alpha1", "kind": "ModelServer", "metadata": {"name": "pets"}}
        kubectl("apply", "-f-", given={**kind, "spec": {"modelFrom": model, **off}})
        until("the PodMonitoring is made", lambda: kubectl.get("podmonitoring", "pets"))
        yield operator
    finally:
        operator.end()


@pytest.fixture(scope="module")
def prometheus(
    kubectl: Kubectl, watched: Operator, server: real.Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """Prometheus on the API server's PodMonitorings, Rules and pods."""
    system = Kubectl(kubectl.cluster, "mlops-system")
    system("apply", "--server-side", "-k", str(ROOT / "deploy" / "monitoring"))
    kubectl("apply", "--server-side", "-k", str(ROOT / "deploy" / "monitoring" / "workloads"))
    stand(system, "operator-1", {"app.kubernetes.io/name": "mlops-operator"}, watched.ports[1])
    labels = {"app.kubernetes.io/name": "cats-dogs-api", "app.kubernetes.io/instance": "pets"}
    stand(kubectl, "pets-1", labels, server.ops_port)
    folder, [port] = tmp_path_factory.mktemp("prometheus"), free_ports(1)
    program = configured(kubectl.cluster, folder)
    command = [program, f"--config.file={folder}/prometheus.yaml", f"--storage.tsdb.path={folder}/data"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)
    try:
        until("Prometheus is ready", lambda: answers(f"http://127.0.0.1:{port}/-/ready"))
        yield Prometheus(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait()


def stand(kubectl: Kubectl, name: str, labels: dict[str, str], port: int) -> None:
    """A pod that is an object alone, whose address and port are those of a process here."""
    closed = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container = {
        "name": "main",
        "image": IMAGE,
        "securityContext": closed,
        "ports": [{"name": "other", "containerPort": 1}, {"name": "metrics", "containerPort": port}],
    }
    security = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {"schedulerName": "none", "securityContext": security, "containers": [container]}
    metadata = {"name": name, "labels": labels}
    kubectl("apply", "-f-", given={"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    kubectl.patch("pod", name, {"status": {"phase": "Running", "podIP": "127.0.0.1"}}, "--subresource=status")


def configured(running: cluster.Cluster, folder: Path) -> Path:
    """Write Prometheus's settings; returns the program."""
    made = programs.ensure(["prometheus", "promtool"], Reporter())
    config, rules = monitoring.settings(running, made["promtool"], "1s")
    kubeconfig: dict[str, Any] = yaml.safe_load(Path(str(running.kubeconfig)).read_text())
    (folder / "kubeconfig").write_text(yaml.safe_dump({**kubeconfig, "current-context": running.context}))
    for scrape in config["scrape_configs"]:
        for discovery in scrape["kubernetes_sd_configs"]:
            discovery["kubeconfig_file"] = str(folder / "kubeconfig")
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    (folder / "rules.yaml").write_text(yaml.safe_dump(rules))
    return made["prometheus"]


def eventually(what: str, true: Callable[[], bool]) -> None:
    until(what, true)


def test_pods_are_scraped_with_the_labels_of_the_collection(prometheus: Prometheus) -> None:
    ours = f'up{{namespace=~"mlops-system|{NAMESPACE}"}}'  # other tests leave servers in namespaces of their own
    until("both pods are scraped", lambda: len(prometheus.series(f"{ours} == 1")) == 2)
    place = {"__name__": "up", "cluster": "local", "location": "local", "project_id": "local", "container": "main"}
    assert sorted(prometheus.series(ours), key=lambda each: each["job"]) == [
        {
            **place,
            "namespace": "mlops-system",
            "job": "mlops-operator",
            "pod": "operator-1",
            "instance": "operator-1:metrics",
        },
        {
            **place,
            "namespace": NAMESPACE,
            "job": "pets",
            "pod": "pets-1",
            "instance": "pets-1:metrics",
            "model_server": "pets",
        },
    ]


@pytest.mark.parametrize("query", list(panels.queries()), ids=str)
def test_every_query_of_the_dashboards_has_an_answer(prometheus: Prometheus, query: str) -> None:
    query_has_an_answer(prometheus, query, ABSENT, eventually)


def test_every_rule_is_evaluated_and_records(prometheus: Prometheus) -> None:
    rules_record(prometheus, ABSENT, eventually)


@pytest.mark.parametrize("alert", alerts())
def test_every_series_that_an_alert_asks_for_is_there(prometheus: Prometheus, alert: str) -> None:
    alert_has_its_series(prometheus, alert, ABSENT, eventually)


def test_alerts_tell_what_is_wrong_here_and_nothing_else(prometheus: Prometheus, kubectl: Kubectl) -> None:
    until("TrainingFailing fires", lambda: prometheus.alert("TrainingFailing") == {("firing", "")})
    until("NoReadyModel waits", lambda: prometheus.alert("NoReadyModel") == {("pending", "pets")})
    assert {each["labels"]["alertname"] for each in prometheus.get("alerts")["alerts"]} == {
        "NoReadyModel",
        "TrainingFailing",
    }


def test_an_operator_that_is_gone_is_missed(prometheus: Prometheus, watched: Operator) -> None:
    watched.end()
    until("OperatorDown waits", lambda: prometheus.alert("OperatorDown") == {("pending", "")})
