"""A TrainingRun whose Job exists: what each state of Job and pod does to the status, whole."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from mlops_operator.api.training_run import BucketFailure, Lookup, Observed, Progress
from mlops_operator.reconcile.plan import ChildRef, Event, Plan
from tests.unit.operator.training_run_world import (
    CREATED,
    IMAGE,
    MODEL,
    MODEL_JSON,
    POD_NAME,
    SHA256,
    VERSION,
    at,
    attempt,
    base,
    conditions,
    counted,
    failed,
    job,
    ok,
    over,
    passed,
    pod,
    run,
    trained_pod,
)

RUNNING: Mapping[str, Any] = {"running": {"startedAt": at(5)}}
JOB_REF = ChildRef("batch/v1", "Job", "demo", "u-job")
TRAINING = pod("Running", {**{s: ok(s) for s in ("ingest", "preprocess", "eda")}, "train": RUNNING})


def active(reason: str, message: str, **more: Any) -> dict[str, Any]:
    return base(conditions=conditions("Unknown", reason, message), **more)


def recorded(**more: Any) -> dict[str, Any]:
    """A run whose Job was recorded at second 30, nothing else known."""
    return base(conditions=conditions("Unknown", "Pending", "The Job is made and has no pod yet"), **more)


def test_a_made_job_is_recorded_with_what_it_is_pinned_to() -> None:
    plan = passed(run(), Observed(job=job()))
    status = active("Pending", "The Job is made and has no pod yet")
    event = Event("Normal", "Pending", "The Job is made and has no pod yet")
    assert plan == Plan(status=status, events=(event,), requeue_after=29.0)


WAITING: list[tuple[str, dict[str, Any], str, str]] = [
    ("being set up", pod("Pending", {}), "The pod is being set up on its node", "Pending"),
    (
        "no node",
        pod(
            "Pending",
            {},
            status={
                "conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes: Insufficient cpu."}]
            },
        ),
        "No node takes the pod: 0/1 nodes: Insufficient cpu.",
        "Unschedulable",
    ),
    (
        "image may come",
        pod("Pending", {"ingest": {"waiting": {"reason": "ErrImagePull", "message": "i/o timeout"}}}),
        f"Image {IMAGE} can't be pulled: ErrImagePull: i/o timeout",
        "ImagePull",
    ),
]


@pytest.mark.parametrize(("seen", "message", "reason"), [w[1:] for w in WAITING], ids=[w[0] for w in WAITING])
def test_a_pod_that_waits_says_why(seen: dict[str, Any], message: str, reason: str) -> None:
    plan = passed(run(recorded()), Observed(job=job(), pods=(seen,)))
    assert plan.status == active("Pending", message)
    event = () if reason == "Pending" else (Event("Warning", reason, message),)
    assert (plan.events, plan.delete, plan.requeue_after) == (event, (), 572.0)
    assert plan.status is not None
    assert passed(run(plan.status), Observed(job=job(), pods=(seen,)), seconds=40).events == ()


@pytest.mark.parametrize(
    ("states", "stage", "reason"),
    [
        ({"ingest": RUNNING}, "Ingest", "Ingesting"),
        ({"ingest": ok("ingest")}, "Preprocess", "Preprocessing"),
        ({"ingest": ok("ingest"), "preprocess": ok("preprocess"), "eda": RUNNING}, "EDA", "Exploring"),
        ({**{s: ok(s) for s in ("ingest", "preprocess", "eda")}, "train": RUNNING}, "Train", "Training"),
        ({s: ok(s) for s in ("ingest", "preprocess", "eda", "train")}, "Evaluate", "Evaluating"),
    ],
)
def test_the_stage_that_runs_or_comes_next_is_told(states: Any, stage: str, reason: str) -> None:
    plan = passed(run(recorded()), Observed(job=job(), pods=(pod("Running", states),)))
    message = f"Stage {stage} runs in pod {POD_NAME}"
    assert plan.status == active(reason, message, stage=stage, **counted(attempt()))
    assert plan.events == (Event("Normal", reason, message),)


def test_progress_is_shown_and_not_written_for_time_alone() -> None:
    said = Progress("Train", CREATED + timedelta(seconds=30), 40, 3, 20, 0.81234, 84)
    shown = {
        "stage": "Train",
        "percent": 40,
        "epoch": 3,
        "epochs": 20,
        "valAccuracy": "0.8123",
        "etaSeconds": 84,
        "eta": "1m24s",
        "lastSeen": at(30),
    }
    first = passed(run(recorded()), Observed(job=job(), pods=(TRAINING,), progress=said))
    assert first.status is not None
    assert first.status["progress"] == shown
    soon = Progress("Train", CREATED + timedelta(seconds=39), 45, 3, 20, 0.81234, 75)
    epoch = Progress("Train", CREATED + timedelta(seconds=39), 46, 4, 20, 0.82, 74)
    later = Progress("Train", CREATED + timedelta(seconds=40), 47, 3, 20, 0.81234, 73)
    after = [
        passed(run(first.status), Observed(job=job(), pods=(TRAINING,), progress=p), seconds=40)
        for p in (soon, epoch, later)
    ]
    assert after[0].status == first.status
    assert [plan.status["progress"]["etaSeconds"] for plan in after[1:] if plan.status] == [74, 73]


def test_no_time_left_is_told_that_nobody_estimates_any_more() -> None:
    shown = {"stage": "Train", "percent": 40, "epoch": 3, "etaSeconds": 84, "eta": "1m24s", "lastSeen": at(30)}
    kept = {name: value for name, value in shown.items() if not name.startswith("eta")}
    said = Progress("Train", CREATED + timedelta(seconds=30), 40, 3, 20, 0.8, 84)
    training = Observed(job=job(), pods=(TRAINING,), progress=said)

    def after(seconds: float, seen: Observed, **spec: Any) -> Any:
        plan = passed(run(recorded(progress=shown), **spec), seen, seconds=seconds)
        assert plan.status is not None
        return plan.status["progress"]

    assert after(90, training) == shown
    assert after(91, training) == kept
    assert after(40, Observed(job=job(), pods=(TRAINING,))) == shown
    assert after(91, Observed(job=job(), pods=(TRAINING,))) == kept
    assert after(40, Observed(job=job()), suspend=True) == kept
    assert after(40, Observed(job=job(), pods=(pod("Failed", {"train": failed(1)}),))) == kept


def test_suspend_stops_the_job_and_the_clock() -> None:
    message = "spec.suspend is true: no pod runs, what was finished is kept; set it to false to go on"
    plan = passed(run(recorded(), suspend=True), Observed(job=job()))
    status = base(activeSeconds=29, conditions=conditions("Unknown", "Suspended", message))
    del status["activeSince"]
    stop = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "demo", "namespace": "team", "uid": "u-job"},
        "spec": {"suspend": True},
    }
    assert plan == Plan(status=status, apply=(stop,), events=(Event("Normal", "Suspended", message),))
    again = passed(run(status, suspend=True), Observed(job=job(spec={"suspend": True})), seconds=5000)
    assert again == Plan(status=status)
    resumed = passed(run(status), Observed(job=job(spec={"suspend": True})), seconds=5000)
    assert resumed.apply == ({**stop, "spec": {"suspend": False}},)
    assert resumed.status is not None
    assert (resumed.status["activeSeconds"], resumed.status["activeSince"]) == (29, at(5000))


def test_the_deadline_counts_all_attempts_and_no_suspension() -> None:
    status = recorded(activeSeconds=7000, activeSince=at(1000), stage="Train")
    seen = Observed(job=job(), pods=(TRAINING,))
    assert passed(run(status), seen, seconds=1199).delete == ()
    plan = passed(run(status), seen, seconds=1200)
    message = "The run took more than activeDeadlineSeconds (7200 s)"
    hint = "Raise spec.activeDeadlineSeconds, or train for fewer epochs."
    assert plan.delete == (JOB_REF,)
    assert plan.status is not None
    assert plan.status["failure"] == {
        "stage": "Train",
        "reason": "DeadlineExceeded",
        "message": message,
        "hint": hint,
        "attempt": 1,
        "time": at(1200),
    }
    assert plan.events == (Event("Warning", "DeadlineExceeded", f"{message}. {hint}"),)


NOT_FOUND = {"waiting": {"reason": "ErrImagePull", "message": "registry.example/trainer: not found"}}
DENIED = {"waiting": {"reason": "ErrImagePull", "message": "403 denied"}}


@pytest.mark.parametrize(
    ("seen", "seconds", "reason"),
    [
        (pod("Pending", {"ingest": NOT_FOUND}), 4, "ImagePull"),
        (pod("Pending", {"ingest": DENIED}), 33, "ImagePull"),
        (WAITING[0][1], 602, "NotStarted"),
        (WAITING[1][1], 602, "Unschedulable"),
        (WAITING[2][1], 602, "ImagePull"),
    ],
)
def test_a_pod_that_never_starts_ends_the_run_and_its_job(seen: Any, seconds: int, reason: str) -> None:
    early = passed(run(recorded()), Observed(job=job(), pods=(seen,)), seconds=seconds - 1)
    plan = passed(run(recorded()), Observed(job=job(), pods=(seen,)), seconds=seconds)
    if seconds > 4:
        assert early.delete == ()
    assert plan.delete == (JOB_REF,)
    assert plan.status is not None
    assert plan.status["failure"]["reason"] == reason
    assert [(c["status"], c["reason"]) for c in plan.status["conditions"][:2]] == [
        ("False", reason),
        ("True", reason),
    ]


LOG = "Traceback (most recent call last):\nValueError: boom"
REPORT = json.dumps({"stage": "ingest", "ok": False, "reason": "DataError", "message": "No dogs", "hint": "Add dogs"})
FAILURES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (
        "out of memory",
        pod("Failed", {"ingest": ok("ingest"), "preprocess": failed(137, "", "OOMKilled")}),
        {
            "stage": "Preprocess",
            "reason": "OOMKilled",
            "exitCode": 137,
            "message": "Stage Preprocess used more memory than spec.resources.memory allows",
            "hint": "Create a TrainingRun with more spec.resources.memory, or a smaller batchSize or imageSize.",
            "attempt": 1,
            "time": at(25),
        },
    ),
    (
        "crash",
        pod("Failed", {"ingest": failed(1, LOG)}),
        {
            "stage": "Ingest",
            "reason": "StageFailed",
            "exitCode": 1,
            "message": "Stage Ingest ended with exit code 1",
            "log": LOG,
            "hint": "Read status.failure.log; if it names no cause, run the stage on a laptop with `dvc repro`.",
            "attempt": 1,
            "time": at(25),
        },
    ),
    (
        "the stage's own word",
        pod("Failed", {"ingest": failed(65, REPORT)}),
        {
            "stage": "Ingest",
            "reason": "DataError",
            "exitCode": 65,
            "message": "No dogs",
            "hint": "Add dogs",
            "attempt": 1,
            "time": at(25),
        },
    ),
    (
        "evicted",
        pod("Failed", {}, status={"reason": "Evicted", "message": "The node was low on memory."}),
        {
            "reason": "Evicted",
            "message": "The node was low on memory.",
            "hint": "Its node ran short or was drained: if it comes again, ask in spec.resources for what it needs.",
            "attempt": 1,
            "time": at(30),
        },
    ),
    (
        "killed after one line of its log",
        pod("Failed", {"ingest": failed(137, '{"severity": "INFO", "message": "ingest: 12 photographs"}')}),
        {
            "stage": "Ingest",
            "reason": "Killed",
            "exitCode": 137,
            "message": "Stage Ingest ended with exit code 137",
            "log": "ingest: 12 photographs",
            "hint": "Something outside killed the stage; if it happens again, look at the node's log.",
            "attempt": 1,
            "time": at(25),
        },
    ),
]


@pytest.mark.parametrize(("seen", "failure"), [f[1:] for f in FAILURES], ids=[f[0] for f in FAILURES])
def test_a_failed_job_ends_with_a_capsule(seen: dict[str, Any], failure: dict[str, Any]) -> None:
    plan = passed(run(recorded()), Observed(job=job("Failed"), pods=(seen,)))
    reason, said = failure["reason"], f"{failure['message'].rstrip('.')}. {failure['hint']}"
    stage = {"stage": failure["stage"]} if "stage" in failure else {}
    end = 25 if "stage" in failure else 30
    tried = counted(attempt(reason, end), preemptions=reason == "Evicted")
    status = over(failure=failure, **stage, **tried, conditions=conditions("False", reason, said))
    assert plan == Plan(status=status, events=(Event("Warning", reason, said),))


def test_between_attempts_the_last_failure_is_told() -> None:
    crashed = FAILURES[1]
    plan = passed(run(recorded()), Observed(job=job(), pods=(crashed[1],)))
    message = "Attempt 1 ended with StageFailed: Stage Ingest ended with exit code 1; trying again"
    tried = counted(attempt("StageFailed", 25))
    assert plan.status == active("Retrying", message, failure=crashed[2], stage="Ingest", **tried)
    assert plan.events == (Event("Warning", "Retrying", message),)
    assert plan.delete == ()


VERDICTS: dict[str, tuple[dict[str, Any], Observed]] = {
    "no retries left": ({"retries": 0}, Observed(job=job(), pods=(FAILURES[1][1],))),
    "a user's mistake": ({}, Observed(job=job(), pods=(FAILURES[2][1],))),
    "failure decided": ({}, Observed(job=job("FailureTarget"), pods=(TRAINING,))),
    "success decided": ({}, Observed(job=job("SuccessCriteriaMet"), pods=(TRAINING,))),
    "pod succeeded": ({}, Observed(job=job(), pods=(trained_pod(),))),
}


@pytest.mark.parametrize("name", VERDICTS)
def test_nothing_is_written_while_the_jobs_verdict_is_near(name: str) -> None:
    spec, seen = VERDICTS[name]
    assert passed(run(recorded(), **spec), seen) == Plan(requeue_after=7171.0)
    unrecorded = passed(run(**spec), seen)
    keys = base()
    del keys["observedGeneration"]
    assert unrecorded.status == keys


LINEAGE = {"dataVersion": "d1", "mlflowRunUrl": "https://mlflow.example/x"}


def test_a_complete_job_gives_model_and_lineage() -> None:
    plan = passed(run(recorded()), Observed(job=job("Complete"), pods=(trained_pod(),)))
    message = f"Version {VERSION} is trained, test accuracy 0.9123 (0.8900 to 0.9300): {MODEL['uri']}"
    status = over(
        **counted(attempt("Completed", 20)),
        stage="Evaluate",
        progress={"stage": "Evaluate", "epoch": 20, "valAccuracy": "0.9000"},
        model=MODEL,
        lineage=LINEAGE,
        conditions=conditions("True", "Completed", message),
    )
    assert plan == Plan(status=status, events=(Event("Normal", "Completed", message),))


def test_the_bucket_tells_what_a_lost_pod_can_not() -> None:
    result = Lookup(version=VERSION, model=MODEL_JSON)
    plan = passed(run(recorded()), Observed(job=job("Complete"), lookup=result))
    assert plan.status is not None
    assert (plan.status["model"], plan.status["conditions"][0]["reason"]) == (MODEL, "Completed")
    late = Lookup(failure=BucketFailure("BucketUnavailable", "no answer"))
    plan = passed(run(recorded()), Observed(job=job("Complete"), lookup=late))
    assert plan.requeue_after == 10.0
    plan = passed(run(recorded()), Observed(job=job("Complete"), lookup=Lookup(version=VERSION)))
    assert plan.status is not None
    assert plan.status["conditions"][0]["reason"] == "ResultInvalid"


GONE: list[tuple[Lookup, str]] = [
    (Lookup(version=VERSION, model=MODEL_JSON), "Completed"),
    (Lookup(version=VERSION), "JobLost"),
    (Lookup(failure=BucketFailure("BucketNotFound", "gone")), "JobLost"),
    (Lookup(failure=BucketFailure("ResultInvalid", "spoiled")), "ResultInvalid"),
    (Lookup(failure=BucketFailure("BucketUnavailable", "no answer")), "BucketUnavailable"),
]


@pytest.mark.parametrize(("lookup", "reason"), GONE)
def test_a_vanished_job_is_never_made_again(lookup: Lookup, reason: str) -> None:
    other = job()
    other["metadata"]["uid"] = "u-another"
    for seen in (None, other):
        plan = passed(run(recorded()), Observed(job=seen, lookup=lookup))
        assert plan.create is None
        assert plan.status is not None
        assert plan.status["conditions"][0]["reason"] == reason


DONE = over(model=MODEL, conditions=conditions("True", "Completed", "done"))


@pytest.mark.parametrize(
    ("seen", "plan"),
    [
        (None, Plan()),
        (job("Complete", spec={"ttlSecondsAfterFinished": 86400}), Plan()),
        (job(), Plan(delete=(JOB_REF,))),
        (
            job("Complete"),
            Plan(
                apply=(
                    {
                        "apiVersion": "batch/v1",
                        "kind": "Job",
                        "metadata": {"name": "demo", "namespace": "team", "uid": "u-job"},
                        "spec": {"suspend": False, "ttlSecondsAfterFinished": 86400},
                    },
                )
            ),
        ),
    ],
)
def test_after_the_end_only_the_job_is_tidied(seen: Any, plan: Plan) -> None:
    assert passed(run(DONE), Observed(job=seen)) == plan


def test_after_the_end_a_changed_spec_is_noted() -> None:
    resource = run(DONE, suspend=True)
    resource["metadata"]["generation"] = 2
    noted = conditions("True", "Completed", "done", generation=2)
    assert passed(resource, Observed()) == Plan(status={**DONE, "observedGeneration": 2, "conditions": noted})


def test_same_world_same_status() -> None:
    seen = Observed(job=job(), pods=(TRAINING,))
    first = passed(run(recorded()), seen)
    assert first.status is not None
    second = passed(run(first.status), seen, seconds=50)
    assert (second.status, second.events) == (first.status, ())
    assert SHA256 not in json.dumps(first.status)
