"""Only a better model gets in, and a bad one goes out by itself: on a real cluster, under load."""

import json
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

import pytest

from devcluster.control_plane import answers
from tests.e2e.kube import RUN, Kube, eventually, model_server
from tests.e2e.planted import plant
from tests.e2e.store import Store

SERVER = "e2e-gated"
GATE = {"minimum": "0.55", "maxRegression": "0.02"}


@pytest.fixture(scope="module")
def url(kube: Kube, trained: dict) -> str:
    """A server whose model was let in by the gate."""
    kube.apply(model_server(SERVER, RUN, gate=GATE, watch={"windowSeconds": 8, "minRequests": 20}))
    kube.wait(f"msrv/{SERVER}", "condition=Settled", 300)
    address = kube.get(f"msrv/{SERVER}")["status"]["url"]
    eventually("the address answers", lambda: answers(f"{address}health"), 30)
    return address


@contextmanager
def load(url: str, drawings: Path, clients: int = 2) -> Iterator[Counter]:
    """Requests one after the other by some clients; counts answers by status and digest, and what failed."""
    picture, enough, seen = next((drawings / "Cat").glob("*.jpg")).read_bytes(), threading.Event(), Counter()

    def ask() -> None:
        while not enough.is_set():
            request = urllib.request.Request(f"{url}predict", picture, {"Content-Type": "image/jpeg"})
            try:
                with urllib.request.urlopen(request, timeout=20) as answer:
                    seen[json.load(answer)["model"]["sha256"]] += 1
            except (OSError, HTTPException) as error:
                seen[f"failed: {error}"] += 1
            time.sleep(0.02)

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        enough.set()
        for thread in threads:
            thread.join()


def ask_for(kube: Kube, source: dict, **spec: object) -> None:
    """Point the server at another model, as CI does."""
    change = {"modelFrom": {"trainingRun": None, "uri": None, "sha256": None, **source}, **spec}
    kube.run("patch", "msrv", SERVER, "--type=merge", "-p", json.dumps({"spec": change}))
    eventually("the change is seen", lambda: observed(kube), 30)


def observed(kube: Kube) -> bool:
    found = kube.get(f"msrv/{SERVER}")
    return found["status"]["observedGeneration"] == found["metadata"]["generation"]


def settled(kube: Kube, seconds: int = 180) -> dict:
    kube.wait(f"msrv/{SERVER}", "condition=Settled", seconds)
    return kube.get(f"msrv/{SERVER}")["status"]


@pytest.mark.parametrize("kind", ["inverted", "one-class"])
def test_a_bad_model_never_gets_a_request(
    kube: Kube, store: Store, trained: dict, url: str, drawings: Path, kind: str
) -> None:
    bad = plant(store, trained["version"], f"e2e-{kind}", kind)
    with load(url, drawings) as seen:
        ask_for(kube, bad)
        status = settled(kube)
    accepted = kube.condition(f"msrv/{SERVER}", "CandidateAccepted")
    assert (accepted["status"], accepted["reason"]) == ("False", "SanityFailed"), accepted["message"]
    assert set(seen) == {trained["model"]["sha256"]}
    assert status["quarantine"][0]["sha256"] == bad["sha256"]
    assert status["history"][0]["outcome"] == "Refused"
    assert store.names(status["gate"]["report"].removeprefix(f"gs://{store.bucket}/"))
    eventually("candidate and judge are gone", lambda: trial(kube) == [], 60)


def trial(kube: Kube) -> list[str]:
    found = kube.get("deployments,jobs,pods", f"-lapp.kubernetes.io/instance={SERVER}")["items"]
    return [
        item["metadata"]["name"]
        for item in found
        if "candidate" in item["metadata"]["name"] or "judge" in item["metadata"]["name"]
    ]


def test_a_file_that_is_not_what_its_digest_says_never_becomes_ready(
    kube: Kube, store: Store, trained: dict, url: str
) -> None:
    corrupt = {**plant(store, trained["version"], "e2e-corrupt", "equal"), "sha256": "c" * 64}
    ask_for(kube, corrupt)
    settled(kube)
    accepted = kube.condition(f"msrv/{SERVER}", "CandidateAccepted")
    assert (accepted["status"], accepted["reason"]) == ("False", "SmokeFailed")
    assert "c" * 12 in accepted["message"]
    assert kube.get(f"msrv/{SERVER}")["status"]["model"]["sha256"] == trained["model"]["sha256"]


def test_an_equal_model_takes_over_without_a_lost_request(
    kube: Kube, store: Store, trained: dict, url: str, drawings: Path
) -> None:
    good = plant(store, trained["version"], "e2e-equal", "equal")
    with load(url, drawings) as seen:
        ask_for(kube, good)
        status = settled(kube)
    assert set(seen) == {trained["model"]["sha256"], good["sha256"]}
    assert (status["model"]["sha256"], status["gate"]["difference"]) == (good["sha256"], "0.0000")
    rolled_back = kube.condition(f"msrv/{SERVER}", "RolledBack")
    assert (rolled_back["status"], rolled_back["reason"]) == ("False", "Kept")


def test_a_slow_model_is_sent_back_and_stays_out(kube: Kube, trained: dict, url: str, drawings: Path) -> None:
    before = kube.get(f"msrv/{SERVER}")["status"]["model"]["sha256"]
    watch = {"windowSeconds": 30, "minRequests": 20, "maxP95Millis": 1}
    with load(url, drawings) as seen:
        ask_for(kube, {"trainingRun": RUN}, watch=watch)  # the first model again: no request takes less than 1 ms
        status = settled(kube)
    rolled_back = kube.condition(f"msrv/{SERVER}", "RolledBack")
    assert (rolled_back["status"], rolled_back["reason"]) == ("True", "Latency"), rolled_back["message"]
    assert (status["model"]["sha256"], seen[trained["model"]["sha256"]] > 0) == (before, True)
    assert [name for name in seen if name.startswith("failed")] == []
    kube.run("annotate", "msrv", SERVER, "gitops=applied-again")
    time.sleep(3)
    assert kube.get(f"msrv/{SERVER}")["status"]["model"]["sha256"] == before


def test_what_served_once_comes_back_by_hand_and_all_of_it_is_in_the_ledger(kube: Kube, store: Store, url: str) -> None:
    status = kube.get(f"msrv/{SERVER}")["status"]
    first = status["history"][-1]
    ask_for(kube, {"trainingRun": RUN}, rollbackTo=str(first["number"]), watch={"windowSeconds": 0})
    status = settled(kube)
    assert (status["model"]["sha256"], status["history"][0]["reason"]) == (first["sha256"], "RolledBackByHand")
    newest = status["history"][0]["number"]
    eventually("all is recorded", lambda: kube.get(f"msrv/{SERVER}")["status"]["ledger"]["through"] == newest, 30)
    written = [json.loads(store.read(name)) for name in store.names(f"ledger/cats-dogs/{SERVER}/")]
    assert sorted(entry["number"] for entry in written) == list(range(1, newest + 1))
    assert kube.condition(f"msrv/{SERVER}", "Recorded")["status"] == "True"
    kube.run("delete", "msrv", SERVER)
    eventually(
        "nothing is left",
        lambda: (
            not kube.get("deployments,jobs,services,networkpolicies", f"-lapp.kubernetes.io/instance={SERVER}")["items"]
        ),
        60,
    )
