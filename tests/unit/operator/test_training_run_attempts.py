"""What each attempt cost and saved, and what the cluster's own doing counts for: preemption, suspension, Kueue."""

from collections.abc import Mapping
from typing import Any

import pytest

from mlops_operator.api.training_run import Observed
from mlops_operator.reconcile.plan import ChildRef, Event
from tests.unit.operator.training_run_world import (
    POD_NAME,
    at,
    attempt,
    base,
    conditions,
    counted,
    failed,
    job,
    ok,
    passed,
    pod,
    run,
)

JOB_REF = ChildRef("batch/v1", "Job", "demo", "u-job")
QUEUE = "kueue.x-k8s.io/queue-name"


def recorded(**more: Any) -> dict[str, Any]:
    return base(**{"conditions": conditions("Unknown", "Training", "Stage Train runs"), **more})


def spent(state: Mapping[str, Any], begin: float, end: float) -> dict[str, Any]:
    """The end of a stage with its times."""
    return {"terminated": {**state["terminated"], "startedAt": at(begin), "finishedAt": at(end)}}


def reused(stage: str, begin: float, end: float, **summary: Any) -> dict[str, Any]:
    state = ok(stage, **summary)
    message = state["terminated"]["message"].replace('"ok": true', '"ok": true, "reused": true')
    return spent({"terminated": {**state["terminated"], "message": message}}, begin, end)


def disrupted(reason: str, name: str = POD_NAME, **more: Any) -> dict[str, Any]:
    """A pod that the cluster ended while it trained."""
    states = {
        "ingest": spent(ok("ingest"), 3, 43),
        "preprocess": spent(ok("preprocess"), 43, 53),
        "eda": spent(ok("eda"), 53, 63),
        "train": spent(failed(143), 63, 90),
    }
    target = {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": "taken"}
    return pod("Failed", states, name=name, status={"conditions": [target]}, **more)


FIRST = attempt("Preempted", 90, stageSeconds={"ingest": 40, "preprocess": 10, "eda": 10, "train": 27})
FAILURE = {
    "stage": "Train",
    "reason": "Preempted",
    "exitCode": 143,
    "message": "taken",
    "hint": "Something more important took the place; create the TrainingRun again when there is room.",
    "attempt": 1,
    "time": at(90),
}


def second(phase: str, states: Mapping[str, Any]) -> dict[str, Any]:
    """The pod that came after `disrupted`."""
    return pod(phase, states, name="demo-second", created=at(91))


def test_a_preempted_attempt_is_told_with_what_it_cost() -> None:
    plan = passed(run(recorded()), Observed(job=job(), pods=(disrupted("PreemptionByScheduler"),)), seconds=95)
    message = "Attempt 1 ended with Preempted: taken; trying again"
    assert plan.status == recorded(
        stage="Train",
        failure=FAILURE,
        **counted(FIRST, preemptions=1),
        conditions=conditions("Unknown", "Retrying", message),
    )
    assert plan.events == (Event("Warning", "Retrying", message),)


def test_one_that_was_replaced_before_anybody_looked_is_told_too() -> None:
    pods = (disrupted("PreemptionByScheduler"), second("Pending", {}))
    plan = passed(run(recorded()), Observed(job=job(), pods=pods), seconds=95)
    assert plan.status is not None
    assert (plan.status["failure"], plan.status["attempts"]) == (FAILURE, [FIRST])
    assert plan.events[0] == Event("Warning", "Preempted", f"Attempt 1: taken. {FAILURE['hint']}")


def test_the_next_attempt_says_what_it_was_spared() -> None:
    states = {
        "ingest": reused("ingest", 92, 95),
        "preprocess": reused("preprocess", 95, 97),
        "eda": spent(ok("eda"), 97, 107),
        "train": spent(ok("train", epochs=3, valAccuracy=0.8, stoppedBy="time", seconds=60.5), 107, 147),
        "evaluate": {"running": {}},
    }
    status = recorded(**counted(FIRST, preemptions=1), failure=FAILURE)
    plan = passed(run(status), Observed(job=job(), pods=(second("Running", states),)), seconds=150)
    assert plan.status is not None
    assert plan.status["attempts"] == [
        FIRST,
        {
            "number": 2,
            "pod": "demo-second",
            "startTime": at(91),
            "stageSeconds": {"ingest": 3, "preprocess": 2, "eda": 10, "train": 40},
            "pulled": ["Ingest", "Preprocess"],
            # 37 of Ingest, 8 of Preprocess, and 20 that the training had behind it.
            "savedSeconds": 65,
        },
    ]
    assert (plan.status["retries"], plan.status["preemptions"]) == (0, 1)


def test_a_failure_that_is_followed_by_another_attempt_is_a_retry() -> None:
    status = recorded(**counted(attempt("OOMKilled", 20)))
    plan = passed(run(status), Observed(job=job(), pods=(second("Running", {"ingest": {"running": {}}}),)), seconds=95)
    assert plan.status is not None
    assert (plan.status["retries"], plan.status["preemptions"]) == (1, 0)
    assert [entry["number"] for entry in plan.status["attempts"]] == [1, 2]


def test_what_was_recorded_once_is_not_counted_again() -> None:
    seen = Observed(job=job(), pods=(disrupted("PreemptionByScheduler"),))
    first = passed(run(recorded()), seen, seconds=95)
    assert first.status is not None
    assert passed(run(first.status), seen, seconds=99).status == first.status


def test_only_the_newest_ten_are_kept_and_old_pods_do_not_come_back() -> None:
    entries = [attempt("OOMKilled", 10 * n + 9, n, pod=f"demo-{n}", startTime=at(10 * n)) for n in range(2, 12)]
    gone = [pod("Failed", {"ingest": failed(1)}, name=f"demo-{n}", created=at(10 * n)) for n in range(1, 12)]
    fresh = pod("Running", {"ingest": {"running": {}}}, name="demo-12", created=at(120))
    status = recorded(**counted(*entries, retries=10))
    plan = passed(run(status, retries=10), Observed(job=job(), pods=(*gone, fresh)), seconds=130)
    assert plan.status is not None
    assert [entry["number"] for entry in plan.status["attempts"]] == list(range(3, 13))
    assert plan.status["retries"] == 11


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("PreemptionByScheduler", "Preempted"),
        ("EvictionByEvictionAPI", "Evicted"),
        ("TerminationByKubelet", "Evicted"),
        ("DeletionByTaintManager", "NodeLost"),
        ("DeletionByPodGC", "NodeLost"),
    ],
)
def test_preemptions_are_limited(reason: str, shown: str) -> None:
    seen = Observed(job=job(), pods=(disrupted(reason),))
    assert passed(run(recorded(), maxPreemptions=1), seen, seconds=95).delete == ()
    plan = passed(run(recorded(), maxPreemptions=0), seen, seconds=95)
    assert plan.delete == (JOB_REF,)
    assert plan.status is not None
    assert plan.status["failure"]["reason"] == "TooManyPreemptions"
    assert plan.status["failure"]["message"] == (
        f"The pod was taken away once, spec.maxPreemptions is 0; the last time: {shown}: taken"
    )
    assert plan.status["attempts"][0]["reason"] == shown


def test_a_suspended_pod_has_not_failed_and_does_not_count() -> None:
    stopped_pod = pod("Failed", {"ingest": spent(failed(143), 3, 40)})
    stopped_pod["metadata"]["deletionTimestamp"] = at(60)
    seen = Observed(job=job(spec={"suspend": True}), pods=(stopped_pod,))
    plan = passed(run(recorded(), suspend=True), seen, seconds=45)
    assert plan.status is not None
    entry = attempt("Suspended", 40, stageSeconds={"ingest": 37})
    assert plan.status["attempts"] == [entry]
    assert (plan.status["preemptions"], "failure" in plan.status) == (0, False)
    # Resumed at once, while the pod can still be seen: nothing is retried.
    resumed = passed(run(plan.status), seen, seconds=50)
    assert resumed.status is not None
    assert resumed.status["conditions"][0]["reason"] == "Pending"
    assert (resumed.status["attempts"], resumed.status["retries"]) == ([entry], 0)


def test_a_pod_whose_end_nobody_saw() -> None:
    status = recorded(**counted(attempt()))
    plan = passed(run(status), Observed(job=job()), seconds=62)
    assert plan.status is not None
    assert plan.status["attempts"] == [attempt("Unseen", 62)]


def test_a_run_that_is_given_up_closes_its_attempt() -> None:
    running = pod("Running", {"ingest": {"running": {}}})
    plan = passed(run(recorded()), Observed(job=job(), pods=(running,)), seconds=7300)
    assert plan.status is not None
    assert plan.status["attempts"] == [attempt("DeadlineExceeded", 7300)]


def in_queue(suspended: bool) -> dict[str, Any]:
    made = job(spec={"suspend": suspended})
    made["metadata"]["labels"] = {QUEUE: "team"}
    return made


def test_kueue_decides_when_a_queued_job_starts() -> None:
    message = "Kueue holds the Job in queue team until there is room; no deadline counts meanwhile"
    plan = passed(run(), Observed(job=in_queue(True)), seconds=90_000)
    status = base(conditions=conditions("Unknown", "Queued", message, since=at(90_000)))
    del status["activeSince"]
    assert plan.status == status
    assert (plan.apply, plan.delete, plan.create) == ((), (), None)
    # Let in: the clocks begin, and nothing of the Job is written.
    let_in = passed(run(status), Observed(job=in_queue(False)), seconds=90_010)
    assert let_in.status is not None
    assert (let_in.status["activeSince"], let_in.apply, let_in.delete) == (at(90_010), (), ())


def test_a_preemption_by_kueue_is_no_failure() -> None:
    stopped_pod = pod("Failed", {"ingest": spent(failed(143), 3, 40)})
    stopped_pod["metadata"]["deletionTimestamp"] = at(60)
    status = recorded(**counted(attempt()))
    plan = passed(run(status), Observed(job=in_queue(True), pods=(stopped_pod,)), seconds=45)
    assert plan.status is not None
    assert plan.status["attempts"] == [attempt("Queued", 40, stageSeconds={"ingest": 37})]
    assert plan.status["conditions"][0]["reason"] == "Queued"
    assert plan.status["activeSeconds"] == 44


def test_suspend_is_not_obeyed_in_a_queue() -> None:
    plan = passed(run(recorded(), suspend=True), Observed(job=in_queue(False)), seconds=45)
    assert plan.apply == ()
    assert plan.status is not None
    assert plan.status["conditions"][2]["message"] == "spec.suspend is true, but the run is not stopped by it"


def test_the_end_of_a_queued_job_leaves_suspend_to_kueue() -> None:
    done = base(conditions=conditions("True", "Completed", "done"))
    ended = job("Complete", spec={"suspend": False})
    ended["metadata"]["labels"] = {QUEUE: "team"}
    [controls] = passed(run(done), Observed(job=ended)).apply
    assert controls["spec"] == {"ttlSecondsAfterFinished": 86400}


QUOTA = 'pods "demo-x" is forbidden: exceeded quota: small, requested: requests.cpu=1'


@pytest.mark.parametrize(("said", "reason"), [(QUOTA, "QuotaExceeded"), ("no PriorityClass high", "NotStarted")])
def test_a_pod_that_can_not_be_made_is_told_in_the_servers_words(said: str, reason: str) -> None:
    early = passed(run(recorded()), Observed(job=job(), no_pod=said), seconds=40)
    late = passed(run(recorded()), Observed(job=job(), no_pod=said), seconds=601)
    message = f"The Job can't make a pod: {said}"
    assert early.status is not None
    assert early.status["conditions"][0]["message"] == message
    assert early.requeue_after == 39.0
    assert late.status is not None
    assert late.status["failure"]["reason"] == reason
    assert late.status["failure"]["message"] == message
    assert late.delete == (JOB_REF,)
