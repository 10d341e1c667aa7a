"""A TrainingRun before it has a Job: what it is pinned to, what ends it without a pod."""

from dataclasses import replace
from typing import Any

import pytest

from mlops_operator.api.training_run import BucketFailure, Lookup, Observed, parse
from mlops_operator.builders.job import Key, training_job
from mlops_operator.reconcile.plan import Event, Plan
from mlops_operator.reconcile.training_run import needs
from tests.unit.operator.training_run_world import (
    FOUND,
    IMAGE,
    MODEL,
    MODEL_JSON,
    RAW,
    SETTINGS,
    VERSION,
    at,
    conditions,
    job,
    passed,
    run,
)


def ended(reason: str, message: str, hint: str = "", **more: Any) -> Plan:
    """The plan of a run that fails before it has a Job."""
    failure = {"reason": reason, "message": message, "time": at(30), **({"hint": hint} if hint else {})}
    said = f"{message}. {hint}" if hint else message
    status = {
        "observedGeneration": 1,
        "completionTime": at(30),
        "failure": failure,
        "conditions": conditions("False", reason, said),
        **more,
    }
    return Plan(status=status, events=(Event("Warning", reason, said),))


def test_first_pass_makes_the_job_and_writes_nothing_else() -> None:
    plan = passed(run(), Observed(lookup=FOUND))
    key = Key(image=IMAGE, bucket="photos", raw_hash=RAW, version=VERSION)
    assert plan == Plan(create=training_job(parse(run()), key, SETTINGS))


def test_spec_wins_over_settings() -> None:
    image = "registry.example/other@sha256:" + "9" * 64
    plan = passed(run(image=image, bucket="own"), Observed(lookup=FOUND))
    assert plan.create is not None
    assert plan.create["metadata"]["annotations"] == {
        "mlops.cats-dogs.io/image": image,
        "mlops.cats-dogs.io/bucket": "own",
        "mlops.cats-dogs.io/raw-hash": RAW,
        "mlops.cats-dogs.io/version": VERSION,
        "mlops.cats-dogs.io/git-commit": "",
    }


PINNED = {"image": IMAGE, "bucket": "photos"}
NO_BUCKET = BucketFailure("BucketNotFound", "Bucket gs://photos does not exist")
FORBIDDEN = BucketFailure("PermissionDenied", "The operator may not read bucket gs://photos: 403")


def test_missing_bucket_ends_the_run() -> None:
    assert passed(run(), Observed(lookup=Lookup(failure=NO_BUCKET))) == ended(
        "BucketNotFound",
        "Bucket gs://photos does not exist",
        "Create the bucket, or correct spec.bucket in a new TrainingRun.",
        **PINNED,
    )


def test_empty_raw_folder_ends_the_run() -> None:
    assert passed(run(), Observed(lookup=Lookup())) == ended(
        "DataError",
        "gs://photos/datasets/cats-dogs/raw/ holds no photographs: Cat/*.jpg and Dog/*.jpg are wanted there",
        "Correct the photographs in the bucket, then create the TrainingRun again.",
        **PINNED,
    )


def test_image_of_another_registry_is_refused() -> None:
    image = "registry.example.evil/trainer@sha256:" + "1" * 64
    assert passed(run(image=image), Observed()) == ended(
        "ImageNotAllowed",
        f"Image {image} is from no allowed registry; allowed are: registry.example/",
        "Use an image of an allowed registry, or have the operator's ALLOWED_REGISTRIES extended.",
    )


def test_an_image_by_tag_is_refused_unless_told_otherwise() -> None:
    image = "registry.example/trainer:v1"
    assert passed(run(image=image), Observed()) == ended(
        "ImageNotPinned",
        f"Image {image} is not named by digest",
        "Name the image by digest, REGISTRY/PATH@sha256:HEX, in a new TrainingRun.",
    )
    plan = passed(run(image=image), Observed(lookup=FOUND), settings=replace(SETTINGS, allow_tags=True))
    assert plan.create is not None
    [main] = plan.create["spec"]["template"]["spec"]["containers"]
    assert (main["image"], main["imagePullPolicy"]) == (image, "Always")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (replace(SETTINGS, trainer_image=""), "ImageMissing"),
        (replace(SETTINGS, bucket=""), "BucketMissing"),
    ],
)
def test_what_nobody_gave_is_named(settings: Any, reason: str) -> None:
    plan = passed(run(), Observed(lookup=FOUND), settings=settings)
    assert plan.status is not None
    assert plan.status["failure"]["reason"] == reason
    assert plan.create is None


def test_bucket_that_does_not_answer_is_asked_again() -> None:
    failure = BucketFailure("BucketUnavailable", "Bucket gs://photos does not answer: 503")
    message = "Bucket gs://photos does not answer: 503; trying again every 10 s"
    status = {
        **PINNED,
        "observedGeneration": 1,
        "conditions": conditions("Unknown", "BucketUnavailable", message),
    }
    event = Event("Warning", "BucketUnavailable", message)
    plan = passed(run(), Observed(lookup=Lookup(failure=failure)))
    assert plan == Plan(status=status, events=(event,), requeue_after=10.0)


def test_forbidden_bucket_is_asked_until_the_pending_deadline() -> None:
    early = passed(run(), Observed(lookup=Lookup(failure=FORBIDDEN)), seconds=599)
    late = passed(run(), Observed(lookup=Lookup(failure=FORBIDDEN)), seconds=600)
    assert early.requeue_after == 10.0
    assert late.status is not None
    assert late.status["failure"] == {
        "reason": "PermissionDenied",
        "message": "The operator may not read bucket gs://photos: 403",
        "hint": "Give the trainer's and the operator's service accounts access to the bucket.",
        "time": at(600),
    }


def test_published_key_is_reused_without_a_pod() -> None:
    message = f"Version {VERSION} was trained already by TrainingRun team/earlier; change data, parameters or "
    message += "image to train"
    status = {
        **PINNED,
        "rawHash": RAW,
        "version": VERSION,
        "observedGeneration": 1,
        "completionTime": at(30),
        "model": MODEL,
        "lineage": {
            "dataVersion": "d1",
            "gitCommit": "c0ffee",
            "trainedBy": "team/earlier",
            "mlflowRunId": "r1",
            "mlflowRunUrl": "https://mlflow.example/#/experiments/1/runs/r1",
        },
        "warnings": ["not better than chance"],
        "conditions": conditions("True", "Reused", message),
    }
    plan = passed(run(), Observed(lookup=replace(FOUND, model=MODEL_JSON)))
    warning = Event("Warning", "ResultWarning", "not better than chance")
    assert plan == Plan(status=status, events=(Event("Normal", "Reused", message), warning))


def test_published_result_without_digest_is_no_result() -> None:
    plan = passed(run(), Observed(lookup=replace(FOUND, model={"version": VERSION})))
    assert plan.status is not None
    assert plan.status["failure"]["reason"] == "ResultInvalid"
    assert "model" not in plan.status


def test_refused_job_is_tried_again_with_the_servers_words() -> None:
    refused = Observed(lookup=FOUND, refused='jobs.batch "demo" is forbidden: exceeded quota')
    message = 'The Job can\'t be made: jobs.batch "demo" is forbidden: exceeded quota'
    early, late = passed(run(), refused), passed(run(), refused, seconds=600)
    assert early.requeue_after == 10.0
    assert early.status is not None
    assert early.status["conditions"] == conditions("Unknown", "Pending", message)
    assert late.status is not None
    assert late.status["failure"]["reason"] == "QuotaExceeded"
    assert (early.create, late.create) == (None, None)


def test_job_of_somebody_else_is_left_alone() -> None:
    owner = {"kind": "CronJob", "name": "nightly", "uid": "u-other", "controller": True}
    message = "A Job demo exists already and belongs to CronJob nightly"
    plan = passed(run(), Observed(job=job(owner=owner)))
    assert plan == ended("JobNameTaken", message, "Delete that Job, or give the run another name.")
    assert (plan.apply, plan.delete) == ((), ())


def test_job_of_an_earlier_run_of_the_name_is_waited_for() -> None:
    owner = {"kind": "TrainingRun", "name": "demo", "uid": "u-earlier", "controller": True}
    message = "Waiting until the Job of an earlier TrainingRun demo is deleted"
    status = {"observedGeneration": 1, "conditions": conditions("Unknown", "Pending", message)}
    plan = passed(run(), Observed(job=job(owner=owner)))
    assert plan == Plan(status=status, events=(Event("Normal", "Pending", message),), requeue_after=2.0)


def test_deleted_run_gets_nothing() -> None:
    resource = run()
    resource["metadata"]["deletionTimestamp"] = at(20)
    assert passed(resource, Observed(lookup=FOUND)) == Plan()
    assert needs(resource, Observed()) is None


@pytest.mark.parametrize(
    ("status", "observed", "wanted"),
    [
        ({}, Observed(), "key"),
        ({}, Observed(job=job()), None),
        ({"jobUID": "u-job"}, Observed(), "result"),
        ({"jobUID": "u-job"}, Observed(job=job("Complete")), "result"),
        ({"conditions": conditions("True", "Completed", "")}, Observed(), None),
    ],
)
def test_bucket_is_read_only_where_needed(status: dict[str, Any], observed: Observed, wanted: str) -> None:
    assert needs(run(status), observed) == wanted
