"""Two replicas under constant load, while what they stand on is taken away: docs/high-availability.md tells the rest.

A request is lost when its client gets no answer of 200; each has a connection of its own and is not tried again.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from devcluster.control_plane import answers
from tests.e2e.failures import evict
from tests.e2e.kube import RUN, Kube, eventually, model_server
from tests.e2e.test_gate import load

SERVER = "e2e-available"
SYSTEM = "--namespace=mlops-system"


@pytest.fixture(scope="module")
def url(kube: Kube, trained: dict) -> Iterator[str]:
    """Two replicas of the trained model."""
    let_in = {"gate": {"policy": "None"}, "smoke": {"policy": "None"}, "watch": {"windowSeconds": 0}}
    kube.apply(model_server(SERVER, RUN, replicas=2, resources={"cpu": "100m", "memory": "1Gi"}, **let_in))
    kube.wait(f"msrv/{SERVER}", "condition=Settled", 300)
    two_are_ready(kube, 120)
    address = kube.get(f"msrv/{SERVER}")["status"]["url"]
    eventually("the address answers", lambda: answers(f"{address}health"), 30)
    yield address
    kube.run("delete", "msrv", SERVER)


def pods(kube: Kube) -> list[dict[str, Any]]:
    """Its pods that are not on their way out."""
    found = kube.get("pods", f"-lapp.kubernetes.io/name=cats-dogs-api,app.kubernetes.io/instance={SERVER}")["items"]
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def names(kube: Kube, ready: bool = True) -> set[str]:
    """The names of those that are ready, or that are not."""

    def is_ready(pod: dict[str, Any]) -> bool:
        return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", ()))

    return {pod["metadata"]["name"] for pod in pods(kube) if is_ready(pod) is ready}


def two_are_ready(kube: Kube, seconds: float = 90) -> None:
    eventually("two pods are ready, and no other is there", lambda: len(names(kube)) == 2 == len(pods(kube)), seconds)


def all_answered(seen: Counter, trained: dict) -> None:
    assert set(seen) == {trained["model"]["sha256"]}, seen
    assert seen.total() > 20


def test_a_roll_of_all_pods_loses_no_request(kube: Kube, url: str, trained: dict, drawings: Path) -> None:
    before = names(kube)
    with load(url, drawings) as seen:
        kube.run("patch", "msrv", SERVER, "--type=merge", "-p", '{"spec":{"resources":{"cpu":"110m"}}}')
        eventually("all pods are new", lambda: len(names(kube) - before) == 2 == len(pods(kube)), 180)
    all_answered(seen, trained)


def test_pods_are_evicted_one_by_one_and_replaced_while_the_operator_is_away(
    kube: Kube, url: str, trained: dict, drawings: Path
) -> None:
    first, second = names(kube)
    kube.run("scale", "deployment", "mlops-operator", "--replicas=0", SYSTEM)
    try:
        with load(url, drawings) as seen:
            eventually("the budget allows one", lambda: allowed(kube) == 1, 30)
            assert evict(kube, first) == ""
            assert "disruption budget" in evict(kube, second)
            eventually("it is gone", lambda: first not in {pod["metadata"]["name"] for pod in pods(kube)})
            two_are_ready(kube)
        kube.run("scale", "msrv", SERVER, "--replicas=1")
    finally:
        kube.run("scale", "deployment", "mlops-operator", "--replicas=1", SYSTEM)
    all_answered(seen, trained)
    eventually("it does then what was asked meanwhile", lambda: len(pods(kube)) == 1, 90)
    kube.run("scale", "msrv", SERVER, "--replicas=2")
    two_are_ready(kube)


def allowed(kube: Kube) -> int:
    return kube.get("pdb", SERVER)["status"]["disruptionsAllowed"]


def test_a_killed_server_is_started_again_and_the_other_goes_on(
    kube: Kube, url: str, trained: dict, drawings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with load(url, drawings) as seen:
        time.sleep(1)
        kill(kube, pods(kube)[0])
        eventually("one is left", lambda: len(names(kube)) == 1, 30)
        two_are_ready(kube)
    lost = {what: count for what, count in seen.items() if what.startswith("failed")}
    with capsys.disabled():
        print(f"\nserver killed: {sum(lost.values())} of {seen.total()} requests lost: {lost}")
    assert set(seen) - set(lost) == {trained["model"]["sha256"]}
    broken = ("refused", "reset", "closed", "timed out", "IncompleteRead")
    assert [what for what in lost if not any(word in what for word in broken)] == []
    with load(url, drawings) as afterwards:
        time.sleep(3)
    all_answered(afterwards, trained)


def kill(kube: Kube, pod: dict[str, Any]) -> None:
    """SIGKILL to the server, where its node is this machine; else its pod goes without its grace."""
    container = pod["status"]["containerStatuses"][0]["containerID"].rpartition("/")[2]
    found = [file.parent for file in Path("/proc").glob("[0-9]*/cgroup") if container in read(file)]
    if not found:
        kube.run("delete", "pod", pod["metadata"]["name"], "--force", "--grace-period=0")
    for process in found:
        os.kill(int(process.name), signal.SIGKILL)


def read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:  # it has ended meanwhile
        return ""


@contextmanager
def away(kube: Kube, service: str) -> Iterator[None]:
    """The Service leads nowhere, so that its clients are refused; what is behind it keeps its data."""
    selector = kube.get("service", service, SYSTEM)["spec"]["selector"]

    def select(labels: dict[str, str | None]) -> None:
        kube.run("patch", "service", service, SYSTEM, "--type=merge", "-p", json.dumps({"spec": {"selector": labels}}))

    select({"away": "true"})
    try:
        eventually("nobody answers", lambda: not endpoints(kube, service), 30)
        yield
    finally:
        select({"away": None, **selector})
        eventually("it answers again", lambda: endpoints(kube, service), 30)


def endpoints(kube: Kube, service: str) -> bool:
    found = kube.get("endpointslices", f"-lkubernetes.io/service-name={service}", SYSTEM)["items"]
    return any(item["endpoints"] for item in found if item.get("endpoints"))


def test_without_its_bucket_and_mlflow_it_serves_on_and_a_new_pod_waits(
    kube: Kube, url: str, trained: dict, drawings: Path
) -> None:
    first = min(names(kube))
    with load(url, drawings) as seen, away(kube, "object-store"), away(kube, "mlflow-service"):
        eventually("the budget allows one", lambda: allowed(kube) == 1, 30)
        assert evict(kube, first) == ""
        eventually("its successor says why it waits", lambda: waits_for_the_bucket(kube), 60)
        [waiting] = names(kube, ready=False)
        assert len(names(kube)) == 1
    eventually("with the bucket it gets ready", lambda: waiting in names(kube), 90)
    two_are_ready(kube)
    all_answered(seen, trained)


def waits_for_the_bucket(kube: Kube) -> bool:
    waiting = names(kube, ready=False)
    return len(waiting) == 1 and "model not loaded" in kube.run("logs", waiting.pop(), check=False).stdout
