"""A real Prometheus, on the cluster's own PodMonitorings and Rules: every query and every alert meets real series."""

import json
import os
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demo import monitoring
from demo.kubectl import Kubectl
from devcluster.control_plane import answers
from devcluster.progress import Reporter
from scripts import dashboards, panels
from tests.contract.monitored import alerts, groups, records
from tests.e2e.kube import RUN, Kube, eventually, model_server, training_run
from tests.e2e.store import Store

SERVER, BROKEN, FAILING, WORKING = "e2e-watched", "e2e-broken", "e2e-failing", "e2e-working"

# Series that a cluster of some minutes in good order does not have, and why.
NO_WEEK = "nothing was predicted between six hours and a week ago"
NONE_FAILED = "no request was answered 5xx"
ABSENT = {
    "model_server:class_share:increase7d": NO_WEEK,
    "model_server:confidence:mean7d": NO_WEEK,
    "model_server:predictions:increase7d": NO_WEEK,
    "model_server:errors:increase6h": NONE_FAILED,
    "model_server:errors:increase3d": NONE_FAILED,
    "http_server_request_duration_seconds_count 5..": NONE_FAILED,
    "mlops_operator_reconcile_total error": "no pass failed",
}


class Prometheus:
    """Its HTTP API."""

    def __init__(self, address: str) -> None:
        self.address = address

    def get(self, path: str, **query: str) -> Any:
        with urllib.request.urlopen(
            f"{self.address}/api/v1/{path}?{urllib.parse.urlencode(query)}", timeout=20
        ) as said:
            return json.load(said)["data"]

    def series(self, query: str) -> list[dict[str, str]]:
        """The labels of an instant query's answer."""
        return [each["metric"] for each in self.get("query", query=query)["result"]]

    def selectors(self, query: str) -> Iterator[dict[str, Any]]:
        """Each selector of series in a query, as Prometheus itself reads it."""
        yield from _selectors(self.get("parse_query", query=query))

    def alert(self, name: str) -> set[tuple[str, str]]:
        """State and the ModelServer's name, or "", of each active alert of that name."""
        active = [each for each in self.get("alerts")["alerts"] if each["labels"]["alertname"] == name]
        return {(each["state"], each["labels"].get("name", "")) for each in active}


def _selectors(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, list):
        for each in node:
            yield from _selectors(each)
    elif isinstance(node, dict):
        if node.get("type") in ("vectorSelector", "matrixSelector"):
            yield node
        else:
            yield from _selectors(list(node.values()))


@pytest.fixture(scope="module")
def url(kube: Kube, trained: dict, store: Store) -> Iterator[str]:
    """The address of a ModelServer, beside one that can't serve, a run that fails and one that is at work."""
    missing = {"uri": f"gs://{store.bucket}/models/none/model.pt", "sha256": "0" * 64}
    kube.apply(
        model_server(SERVER, RUN, gate={"policy": "None"}, smoke={"policy": "None"}),
        model_server(BROKEN, RUN, modelFrom=missing, gate={"policy": "None"}, smoke={"policy": "None"}),
        training_run(FAILING, "e2e-no-such-bucket"),
        training_run(WORKING, store.bucket, parameters={"epochs": 500, "maxTrainSeconds": 500, "seed": 7}),
    )
    kube.wait(f"msrv/{SERVER}", "condition=Ready", 300)
    address = kube.get(f"msrv/{SERVER}")["status"]["url"]
    eventually("the load balancer's address answers", lambda: answers(f"{address}health"), 30)
    yield address
    kube.run("delete", "--ignore-not-found", f"msrv/{SERVER}", f"msrv/{BROKEN}", f"trun/{WORKING}", f"trun/{FAILING}")


@pytest.fixture(scope="module")
def prometheus(kube: Kube, url: str, drawings: Path) -> Iterator[Prometheus]:
    """Prometheus, while a client asks for predictions all the time."""
    found = Prometheus(monitoring.start(os.environ.get("CONTEXT") or None, Reporter()))
    ending = threading.Event()
    pictures = [file.read_bytes() for label in ("Cat", "Dog") for file in sorted((drawings / label).glob("*.jpg"))[:20]]

    def ask() -> None:
        for number in range(10**6):
            if ending.wait(0.1):
                return
            body = pictures[number % len(pictures)]
            request = urllib.request.Request(f"{url}predict", body, {"Content-Type": "image/jpeg"})
            urllib.request.urlopen(request, timeout=30).close()

    asking = threading.Thread(target=ask)
    asking.start()
    yield found
    ending.set()
    asking.join()


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


@pytest.mark.parametrize("query", list(panels.queries()), ids=str)
def test_every_query_of_the_dashboards_has_an_answer(prometheus: Prometheus, query: str) -> None:
    chosen, all_of_them = query.replace("$namespace", "cats-dogs|x"), dashboards.everywhere(query)
    if set(ABSENT) & {each["name"] for each in prometheus.selectors(chosen)}:
        assert prometheus.series(chosen) == []
        return
    for asked in (chosen, all_of_them):
        eventually(f"{asked} has an answer", lambda asked=asked: bool(prometheus.series(asked)), 180)


def test_every_rule_is_evaluated_and_records(prometheus: Prometheus) -> None:
    def health() -> list[str]:
        return [rule["health"] for group in prometheus.get("rules")["groups"] for rule in group["rules"]]

    assert len(health()) == sum(len(group["rules"]) for group in groups().values())
    eventually("every rule was evaluated without an error", lambda: set(health()) == {"ok"}, 30)
    for name in records():
        if name in ABSENT:
            assert prometheus.series(name) == [], f"{name}: {ABSENT[name]}"
        else:
            eventually(f"{name} is recorded", lambda name=name: bool(prometheus.series(name)), 30)


@pytest.mark.parametrize("alert", alerts())
def test_every_series_that_an_alert_asks_for_is_there(prometheus: Prometheus, alert: str) -> None:
    for selector in prometheus.selectors(alerts()[alert]["expr"]):
        matchers = [each for each in selector["matchers"] if each["name"] != "__name__"]
        values = [each["value"] for each in matchers]
        key = next((key for key in ABSENT if key == " ".join([selector["name"], *values[-1:]])), selector["name"])
        words = ", ".join(f"{each['name']}{each['type']}{json.dumps(each['value'])}" for each in matchers)
        query = f"last_over_time({selector['name']}{{{words}}}[30m])"
        if key in ABSENT:
            assert prometheus.series(query) == [], f"{query}: {ABSENT[key]}"
        else:
            eventually(f"{query} has series", lambda query=query: bool(prometheus.series(query)), 60)


def test_alerts_tell_what_is_wrong_here_and_nothing_else(prometheus: Prometheus) -> None:
    # One ModelServer that never gets ready is pending for its ten minutes; a run that failed fires at once.
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
