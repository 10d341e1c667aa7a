"""A real Prometheus, on the cluster's own PodMonitorings and Rules: every query and every alert meets real series."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from demo import monitoring
from demo.kubectl import Kubectl
from devcluster.control_plane import answers
from devcluster.progress import Reporter
from scripts import panels
from tests.contract.monitored import alerts
from tests.e2e.kube import RUN, Kube, eventually, model_server, training_run
from tests.e2e.store import Store
from tests.integration.prometheus import Prometheus, alert_has_its_series, asking, query_has_an_answer, rules_record

SERVER, BROKEN, FAILING, WORKING = "e2e-watched", "e2e-broken", "e2e-failing", "e2e-working"
QUICK = ("e2e-quick-1", "e2e-quick-2")

# Series that a cluster of some minutes in good order does not have, and why.
NO_WEEK = "nothing was predicted between six hours and a week ago"
NONE_FAILED = "no request was answered 5xx"
ABSENT = {
    "model_server:class_share:increase7d": NO_WEEK,
    "model_server:confidence:mean7d": NO_WEEK,
    "model_server:predictions:increase7d": NO_WEEK,
    "model_server:errors:increase6h": NONE_FAILED,
    "model_server:errors:increase3d": NONE_FAILED,
    "mlops_operator_reconcile_total error": "no pass failed",
}


@pytest.fixture(scope="module")
def url(kube: Kube, trained: dict, store: Store) -> Iterator[str]:
    """The address of a ModelServer, beside one that can't serve and a run that fails."""
    missing = {"uri": f"gs://{store.bucket}/models/none/model.pt", "sha256": "0" * 64}
    kube.apply(
        model_server(SERVER, RUN, gate={"policy": "None"}, smoke={"policy": "None"}),
        model_server(BROKEN, RUN, modelFrom=missing, gate={"policy": "None"}, smoke={"policy": "None"}),
        training_run(FAILING, "e2e-no-such-bucket"),
    )
    kube.wait(f"msrv/{SERVER}", "condition=Ready", 300)
    address = kube.get(f"msrv/{SERVER}")["status"]["url"]
    eventually("the load balancer's address answers", lambda: answers(f"{address}health"), 30)
    yield address
    kube.run("delete", "--ignore-not-found", f"msrv/{SERVER}", f"msrv/{BROKEN}", f"trun/{WORKING}", f"trun/{FAILING}")


@pytest.fixture(scope="module")
def prometheus(kube: Kube, url: str, drawings: Path, store: Store) -> Iterator[Prometheus]:
    """Prometheus, while a client asks for predictions all the time and a run is at work."""
    found = Prometheus(monitoring.start(os.environ.get("CONTEXT") or None, Reporter()))
    pictures = [file.read_bytes() for label in ("Cat", "Dog") for file in sorted((drawings / label).glob("*.jpg"))[:20]]
    with asking(f"{url}predict", [*pictures, b"no picture"]):
        # One that completes makes the series of what completed, the next one a rate of it.
        for seed, name in enumerate(QUICK):
            parameters = {"epochs": 1, "imageSize": 32, "seed": 8 + seed}
            kube.apply(training_run(name, store.bucket, parameters=parameters))
            kube.wait(f"trun/{name}", "condition=Finished", 240)
        # Last, since in some minutes it stops by itself, early.
        kube.apply(training_run(WORKING, store.bucket, parameters={"epochs": 500, "maxTrainSeconds": 500, "seed": 7}))
        yield found


def test_every_pod_is_scraped_with_the_labels_of_the_collection(prometheus: Prometheus) -> None:
    def scraped() -> set[tuple[str, ...]]:
        return {(each["namespace"], each["job"], each.get("model_server", "")) for each in prometheus.series("up == 1")}

    wanted = {
        ("mlops-system", "mlops-operator", ""),
        *(("cats-dogs", name, name) for name in (SERVER, BROKEN)),
    }
    eventually(f"{wanted} are scraped", lambda: wanted <= scraped(), 60)
    for each in prometheus.series('up{namespace="cats-dogs"}'):
        assert each["instance"] == f"{each['pod']}:metrics"
        assert {"cluster", "location", "project_id", "container"} <= set(each)


def patiently(what: str, true: Callable[[], bool]) -> None:
    eventually(what, true, 180)


@pytest.mark.parametrize("query", list(panels.queries()), ids=str)
def test_every_query_of_the_dashboards_has_an_answer(prometheus: Prometheus, query: str) -> None:
    query_has_an_answer(prometheus, query, ABSENT, patiently)


def test_every_rule_is_evaluated_and_records(prometheus: Prometheus) -> None:
    rules_record(prometheus, ABSENT, patiently)


@pytest.mark.parametrize("alert", alerts())
def test_every_series_that_an_alert_asks_for_is_there(prometheus: Prometheus, alert: str) -> None:
    alert_has_its_series(prometheus, alert, ABSENT, patiently)


def test_alerts_tell_what_is_wrong_here_and_nothing_else(prometheus: Prometheus, kube: Kube) -> None:
    # One ModelServer that never gets ready is pending for its ten minutes; a run that failed fires at once, unless
    # another has succeeded since: the one at work may have stopped early.
    kube.run("delete", f"trun/{FAILING}")
    kube.apply(training_run(FAILING, "e2e-no-such-bucket"))
    kube.wait(f"trun/{FAILING}", "condition=Finished", 60)
    eventually("NoReadyModel waits", lambda: ("pending", BROKEN) in prometheus.alert("NoReadyModel"), 60)
    eventually("TrainingFailing fires", lambda: prometheus.alert("TrainingFailing") == {("firing", "")}, 60)
    assert SERVER not in {name for _, name in prometheus.alert("NoReadyModel")}
    active = {each["labels"]["alertname"] for each in prometheus.get("alerts")["alerts"]}
    # What tests before this one have left may have been rolled back.
    assert active - {"ModelRolledBack"} == {"NoReadyModel", "TrainingFailing"}


def test_an_operator_that_is_gone_is_missed(prometheus: Prometheus, kubectl: Kubectl) -> None:
    scale = ("scale", "deployment/mlops-operator", "--namespace=mlops-system")
    kubectl.run(*scale, "--replicas=0")
    try:
        eventually("OperatorDown waits", lambda: prometheus.alert("OperatorDown") == {("pending", "")}, 60)
    finally:
        kubectl.run(*scale, "--replicas=1")
    eventually("OperatorDown is over", lambda: prometheus.alert("OperatorDown") == set(), 60)
