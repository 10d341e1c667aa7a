"""A run that is stopped on a real node goes on where it was, and no suspension is taken for a failure."""

from tests.e2e.kube import Kube, eventually, training_run
from tests.e2e.store import Store

NAME = "e2e-suspended"


def pods(kube: Kube) -> list[dict]:
    return kube.get("pods", f"-lapp.kubernetes.io/instance={NAME}")["items"]


def suspend(kube: Kube, value: bool) -> None:
    kube.run("patch", "trun", NAME, "--type=merge", f'-p={{"spec":{{"suspend":{str(value).lower()}}}}}')


def reason(kube: Kube) -> str:
    return kube.get("trun", NAME).get("status", {}).get("conditions", [{}])[0].get("reason", "")


def test_suspended_twice_without_a_retry_left_it_still_completes(kube: Kube, store: Store) -> None:
    # A size of its own, so that no other test's data can be pulled.
    parameters = {"epochs": 60, "imageSize": 48, "maxTrainSeconds": 20}
    kube.apply(training_run(NAME, store.bucket, retries=0, maxPreemptions=0, parameters=parameters))
    for stage in ("Preprocessing", "Training"):
        eventually(f"it is {stage}", lambda stage=stage: reason(kube) == stage, 300)
        suspend(kube, True)
        kube.wait(f"trun/{NAME}", "condition=Suspended", 60)
        eventually("no pod is left", lambda: not pods(kube))
        assert kube.get("job", NAME)["status"].get("failed", 0) == 0
        suspend(kube, False)
    kube.wait(f"trun/{NAME}", "condition=Finished", 300)
    status = kube.get("trun", NAME)["status"]
    assert [attempt["reason"] for attempt in status["attempts"]] == ["Suspended", "Suspended", "Completed"]
    assert (status["retries"], status["preemptions"], "failure" in status) == (0, 0, False)
    assert status["attempts"][1]["pulled"] == ["Ingest"]
    assert status["attempts"][2]["pulled"] == ["Ingest", "Preprocess", "EDA"]
