"""What goes wrong on a real node: too little memory, no room, a run deleted while it trains."""

from __future__ import annotations

import time

from tests.e2e.failures import ended_as, endless, goes_on_in_another_pod, pods, told, trains
from tests.e2e.kube import Kube, eventually
from tests.e2e.store import Store

CPUS = "24"  # more than the node has, less than the quota allows
GRACE = 30  # terminationGracePeriodSeconds of the training pod


def test_too_little_memory_and_no_room(kube: Kube, store: Store) -> None:
    kube.apply(endless("e2e-hungry", store, 11, retries=0, resources={"cpu": "100m", "memory": "24Mi"}))
    kube.apply(endless("e2e-no-room", store, 12, pendingDeadlineSeconds=30, resources={"cpu": CPUS}))
    kube.wait("trun/e2e-hungry", "condition=Finished", 120)
    hint = "Create a TrainingRun with more spec.resources.memory, or a smaller batchSize or imageSize."
    message = "Stage Ingest used more memory than spec.resources.memory allows"
    assert told(kube.get("trun/e2e-hungry")["status"]) == ended_as(
        "OOMKilled",
        f"{message}. {hint}",
        {"stage": "Ingest", "exitCode": 137, "message": message, "hint": hint, "attempt": 1},
        stage="Ingest",
    )
    kube.wait("trun/e2e-no-room", "condition=Finished", 90)
    status = told(kube.get("trun/e2e-no-room")["status"])
    hint = "Lower spec.resources, correct spec.gpu, spec.spot or spec.nodePool, or add a node that has room."
    words = status["failure"]["message"]  # the scheduler's own
    assert words.startswith("No node takes the pod: 0/1 nodes are available: 1 Insufficient cpu.")
    assert status == ended_as(
        "Unschedulable",
        f"{words.rstrip('.')}. {hint}",
        {"message": words, "hint": hint},
    )
    eventually("nothing of it waits on", lambda: not pods(kube, "e2e-no-room"))


def test_a_run_deleted_while_it_trains_is_taken_up_by_the_next(kube: Kube, store: Store) -> None:
    body = endless("e2e-deleted", store, 13)
    kube.apply(body)
    pod = trains(kube, "e2e-deleted")
    version = kube.get("trun/e2e-deleted")["status"]["version"]
    began = time.monotonic()
    kube.run("delete", "trun/e2e-deleted")
    eventually("its pod is gone", lambda: not pods(kube, "e2e-deleted"), GRACE + 10)
    assert time.monotonic() - began < GRACE + 10
    assert store.names(f"checkpoints/cats-dogs/{version}/")
    kube.apply(body)
    goes_on_in_another_pod(kube, "e2e-deleted", pod)
    assert kube.get("trun/e2e-deleted")["status"]["version"] == version
    kube.run("delete", "trun/e2e-deleted")
    eventually("its pod is gone", lambda: not pods(kube, "e2e-deleted"), GRACE + 10)
