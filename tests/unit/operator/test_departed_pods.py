"""A pod that is gone the moment it has ended still says how: its last event is kept until it is recorded."""

from typing import Any

from mlops_operator.bucket import Bucket
from mlops_operator.handlers.context import Context
from mlops_operator.handlers.queue import Key, WorkQueue
from mlops_operator.handlers.training_run import gather
from tests.unit.operator.training_run_world import SETTINGS, at, attempt, base, counted, failed, job, pod, run

DONE = base(conditions=[{"type": "Finished", "status": "True", "lastTransitionTime": at(5)}])
KEY = Key("TrainingRun", "team", "demo")


async def nothing(key: Key) -> float | None:
    return None


class Live:
    """An API server that has one Job, or none."""

    def __init__(self, found: dict[str, Any] | None) -> None:
        self.found = found

    async def read(self, *where: str) -> dict[str, Any] | None:
        return self.found


def context(cluster: Live | None = None) -> Context:
    """An operator that sees the run and its Job; without `cluster` it has no API server to ask."""
    found = Context(SETTINGS, cluster=cluster, bucket=Bucket(), queue=WorkQueue(nothing))  # type: ignore[arg-type]
    found.seen("ADDED", job(counts={"active": 1}))
    return found


def trainer(phase: str) -> dict[str, Any]:
    seen = pod(phase, {"ingest": failed(143)} if phase == "Failed" else {"ingest": {"running": {}}})
    seen["metadata"] |= {
        "resourceVersion": "11",
        "labels": {"app.kubernetes.io/name": "cats-dogs-trainer", "app.kubernetes.io/instance": "demo"},
    }
    return seen


async def test_the_last_words_are_heard_until_they_are_recorded() -> None:
    here = context()
    here.seen("ADDED", trainer("Running"))
    last = trainer("Failed")
    here.seen("DELETED", last)
    assert (await gather(here, run(base()))).pods == (last,)
    assert (await gather(here, run(base()))).pods == (last,)
    status = base(**counted(attempt("Terminated", 25)))
    assert (await gather(here, run(status))).pods == ()
    assert here.departed == {}


async def test_a_pod_that_was_running_has_no_last_words() -> None:
    here = context()
    here.seen("ADDED", trainer("Running"))
    here.seen("DELETED", trainer("Running"))
    assert (await gather(here, run(base()))).pods == ()


async def test_those_of_another_job_are_not_heard() -> None:
    here = context()
    last = trainer("Failed")
    last["metadata"]["ownerReferences"][0]["uid"] = "u-earlier"
    here.seen("DELETED", last)
    assert (await gather(here, run(base()))).pods == ()


async def test_nothing_is_kept_of_runs_that_are_over_or_gone() -> None:
    here = context(Live(None))
    here.seen("DELETED", trainer("Failed"))
    here.seen("DELETED", run())
    assert here.departed == {}
    here.seen("DELETED", trainer("Failed"))
    await gather(here, run(DONE))
    assert here.departed == {}


async def test_a_job_that_seems_to_run_after_its_runs_end_is_looked_at_before_it_is_deleted() -> None:
    ended = job("Complete")
    assert (await gather(context(Live(ended)), run(DONE))).job == ended
    assert (await gather(context(Live(None)), run(DONE))).job is None
