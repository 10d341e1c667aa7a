"""What serves goes on serving on a real cluster without what it came by: its bucket for five minutes, its image."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from devcluster.control_plane import answers
from tests.e2e.kube import RUN, Kube, eventually, model_server
from tests.e2e.planted import plant
from tests.e2e.store import Store
from tests.e2e.test_gate import load

SERVER = "e2e-without"
AWAY_SECONDS = 300
SYSTEM = "--namespace=mlops-system"


@pytest.fixture(scope="module")
def url(kube: Kube, trained: dict) -> Iterator[str]:
    """A served model with two pods."""
    gate = {"minimum": "0.55", "maxRegression": "0.02"}
    kube.apply(model_server(SERVER, RUN, gate=gate, replicas=2, watch={"windowSeconds": 0}))
    kube.wait(f"msrv/{SERVER}", "condition=Settled", 300)
    address = kube.get(f"msrv/{SERVER}")["status"]["url"]
    eventually("the address answers", lambda: answers(f"{address}health"), 30)
    yield address
    kube.run("delete", "msrv", SERVER)


@contextmanager
def no_bucket(kube: Kube) -> Iterator[None]:
    """The store's address leads nowhere. Its pod stays: with it would go what it holds."""
    place = ("service/object-store", SYSTEM, "--type=merge", "-p")
    kube.run("patch", *place, json.dumps({"spec": {"selector": {"away": "yes"}}}))
    try:
        yield
    finally:
        kube.run("patch", *place, json.dumps({"spec": {"selector": {"away": None}}}))


def ask_for(kube: Kube, **spec: object) -> None:
    kube.run("patch", "msrv", SERVER, "--type=merge", "-p", json.dumps({"spec": spec}))


def says(kube: Kube, name: str) -> tuple[str, str]:
    conditions = kube.get(f"msrv/{SERVER}")["status"]["conditions"]
    return next(((c["status"], c["reason"]) for c in conditions if c["type"] == name), ("", ""))


def served(kube: Kube) -> str:
    return str(kube.get(f"msrv/{SERVER}")["status"]["model"]["sha256"])


def failed(seen: Counter) -> list[str]:
    return [name for name in seen if name.startswith("failed")]


def test_the_bucket_is_away_for_five_minutes(kube: Kube, store: Store, trained: dict, url: str, drawings: Path) -> None:
    good = plant(store, trained["version"], "e2e-patient", "equal")
    before = trained["model"]["sha256"]
    with load(url, drawings) as seen:
        with no_bucket(kube):
            until = time.monotonic() + AWAY_SECONDS
            ask_for(kube, modelFrom={"trainingRun": None, **good})
            waits = ("Unknown", "ModelUnavailable")
            eventually("it is told", lambda: says(kube, "CandidateAccepted") == waits, 120)
            assert "can't be read" in kube.condition(f"msrv/{SERVER}", "CandidateAccepted")["message"]
            while time.monotonic() < until:
                assert (says(kube, "Ready"), says(kube, "Settled")[0]) == (("True", "Serving"), "False")
                time.sleep(5)
            assert says(kube, "CandidateAccepted") == waits
            assert set(seen) == {before}
        # Back again, it is judged and let in as if nothing had been.
        eventually("the new model serves", lambda: served(kube) == good["sha256"], 240)
        kube.wait(f"msrv/{SERVER}", "condition=Settled", 60)
    assert (failed(seen), set(seen)) == ([], {before, good["sha256"]})
    status = kube.get(f"msrv/{SERVER}")["status"]
    assert "quarantine" not in status
    assert [entry["outcome"] for entry in status["history"]] == ["Served", "Served"]


def test_an_image_that_the_registry_does_not_have(kube: Kube, images: dict[str, str], url: str, drawings: Path) -> None:
    before, image = served(kube), images["server"].partition("@")[0]
    with load(url, drawings) as seen:
        ask_for(kube, image=f"{image}@sha256:{'0' * 64}")
        eventually("it is told", lambda: says(kube, "Settled")[1] in ("ErrImagePull", "ImagePullBackOff"), 120)
        assert "not found" in kube.condition(f"msrv/{SERVER}", "Settled")["message"]
        assert says(kube, "Ready") == ("True", "Serving")
        time.sleep(10)
        ready = kube.get(f"deployment/{SERVER}")["status"]
        assert (ready["readyReplicas"], ready["updatedReplicas"]) == (2, 1)
        ask_for(kube, image=None)
        kube.wait(f"msrv/{SERVER}", "condition=Settled", 120)
    assert (failed(seen), set(seen)) == ([], {before})
    assert served(kube) == before
