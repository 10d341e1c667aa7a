"""What a user does wrong ends in one clear place, and leaves nothing hanging."""

import pytest

from tests.e2e.kube import NAMESPACE, Kube, eventually, training_run
from tests.e2e.store import Store


def finish(kube: Kube, name: str, seconds: int = 90) -> tuple[dict, dict]:
    kube.wait(f"trun/{name}", "condition=Finished", seconds)
    return kube.condition(f"trun/{name}", "Succeeded"), kube.get(f"trun/{name}")["status"]


def nothing_runs(kube: Kube, name: str) -> None:
    eventually(
        f"no pod of {name} is left running",
        lambda: (
            not [
                pod
                for pod in kube.get("pods", f"-lapp.kubernetes.io/instance={name}")["items"]
                if pod["status"]["phase"] in ("Pending", "Running")
            ]
        ),
    )


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ({"parameters": {"epochs": 0}}, "spec.parameters.epochs"),
        ({"parameters": {"learningRate": "fast"}}, "spec.parameters.learningRate"),
        ({"parameters": {"architecture": "ResNet9000"}}, "spec.parameters.architecture"),
        ({"image": "trainer:latest"}, "spec.image"),
        ({"bucket": "Not A Bucket"}, "spec.bucket"),
        ({"serviceAccountName": "admin"}, "spec.serviceAccountName"),
    ],
)
def test_the_api_server_refuses_a_wrong_spec_and_names_the_field(kube: Kube, store: Store, spec, named) -> None:
    resource = training_run("e2e-wrong", store.bucket)
    resource["spec"] |= spec
    with pytest.raises(AssertionError) as refused:
        kube.apply(resource)
    assert named.rsplit(".", 1)[-1] in str(refused.value)
    assert kube.run("get", "trun", "e2e-wrong", check=False).returncode != 0


def test_a_training_parameter_can_not_be_changed_afterwards(kube: Kube) -> None:
    kube.apply(training_run("e2e-fixed", "e2e-no-such-bucket"))
    changed = training_run("e2e-fixed", "e2e-no-such-bucket", parameters={"epochs": 7})
    with pytest.raises(AssertionError, match="cannot change after creation; create another TrainingRun"):
        kube.apply(changed)


def test_a_missing_bucket(kube: Kube) -> None:
    kube.apply(training_run("e2e-no-bucket", "e2e-no-such-bucket"))
    succeeded, status = finish(kube, "e2e-no-bucket")
    assert (succeeded["status"], succeeded["reason"]) == ("False", "BucketNotFound")
    assert "gs://e2e-no-such-bucket" in succeeded["message"]
    assert status["failure"]["reason"] == "BucketNotFound"
    nothing_runs(kube, "e2e-no-bucket")


def test_an_empty_raw_folder(kube: Kube, store: Store) -> None:
    store.make_bucket(f"{store.bucket}-empty")
    kube.apply(training_run("e2e-empty", f"{store.bucket}-empty"))
    succeeded, _ = finish(kube, "e2e-empty")
    assert (succeeded["status"], succeeded["reason"]) == ("False", "DataError")
    assert f"gs://{store.bucket}-empty/datasets/cats-dogs/raw" in succeeded["message"]
    nothing_runs(kube, "e2e-empty")


def test_photographs_of_one_class_only(kube: Kube, store: Store) -> None:
    bucket = f"{store.bucket}-one-class"
    store.make_bucket(bucket)
    store.copy_raw(bucket, only="Cat/", count=20)
    kube.apply(training_run("e2e-one-class", bucket))
    succeeded, status = finish(kube, "e2e-one-class", 180)
    assert (succeeded["status"], succeeded["reason"]) == ("False", "DataError")
    assert status["failure"]["stage"] == "Ingest"
    assert status["failure"]["exitCode"] == 65
    assert [attempt["reason"] for attempt in status["attempts"]] == ["DataError"]  # a user's mistake is not retried
    nothing_runs(kube, "e2e-one-class")


def test_an_image_that_can_not_be_pulled(kube: Kube, store: Store, images: dict) -> None:
    missing = f"{images['trainer'].partition('@')[0]}@sha256:{'0' * 64}"
    kube.apply(training_run("e2e-no-image", store.bucket, image=missing, pendingDeadlineSeconds=30))
    succeeded, _ = finish(kube, "e2e-no-image", 120)
    assert (succeeded["status"], succeeded["reason"]) == ("False", "ImagePull")
    assert missing in succeeded["message"]
    nothing_runs(kube, "e2e-no-image")


def test_an_image_from_a_registry_that_is_not_allowed(kube: Kube, store: Store, registry: str) -> None:
    image = f"registry.example/trainer@sha256:{'0' * 64}"
    kube.apply(training_run("e2e-foreign", store.bucket, image=image))
    succeeded, _ = finish(kube, "e2e-foreign")
    assert (succeeded["status"], succeeded["reason"]) == ("False", "ImageNotAllowed")
    assert f"{registry}/" in succeeded["message"]
    assert kube.run("get", "job", "e2e-foreign", check=False).returncode != 0


def test_the_workloads_namespace_refuses_an_unrestricted_pod(kube: Kube, registry: str) -> None:
    done = kube.run("run", "bare", f"--image={registry}/x", f"--namespace={NAMESPACE}", check=False)
    assert done.returncode != 0
    assert "violates PodSecurity" in done.stderr
