"""A user who may only create TrainingRuns gets nothing else: each attempt is refused, or its Job is the plain one.

Jobs are compared whole with the plain run's, but for the fields in which a spec may make a difference.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from catsdogs.key import checked_parameters
from devcluster.cluster import Cluster
from tests.integration import hostile
from tests.integration.figures import tell
from tests.integration.rest import TRAINING_RUNS, Rest
from tests.integration.world import Kubectl, Operator, condition, install, run_of, until
from tests.unit.operator.bucket_server import bucket_server

NAMESPACE, USER = "hostile", "mallory"
RAW = "datasets/cats-dogs/raw/"
SETTING = "a setting of the operator's"
OWN = "mlops.cats-dogs.io/"
Object = dict[str, Any]


@pytest.fixture(scope="module")
def kubectl(control_plane: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    """A namespace with a running operator, and a user who may create runs in it."""
    ask = install(control_plane, NAMESPACE)
    ask("create", "role", "author", "--verb=create", "--resource=trainingruns.mlops.cats-dogs.io")
    ask("create", "rolebinding", "author", "--role=author", f"--user={USER}")
    with bucket_server() as buckets:
        buckets.objects["photos"] = {f"{RAW}Cat/1.jpg": b"cat", f"{RAW}Dog/1.jpg": b"dog"}
        env = {
            "TRAINER_IMAGE": "localhost:5000/cats-dogs/trainer@sha256:" + "1" * 64,
            "BUCKET": "photos",
            "ALLOWED_REGISTRIES": "localhost:5000",
            "STORAGE_EMULATOR_HOST": buckets.url,
            "POD_ENV": json.dumps({"POD_SETTING": SETTING}),
        }
        operator = Operator(ask, tmp_path_factory.mktemp("operator"), env)
        try:
            operator.start()
            yield ask
        finally:
            operator.end()


@pytest.fixture(scope="module")
def rest(control_plane: Cluster) -> Iterator[Rest]:
    """The API server."""
    found = Rest(control_plane)
    yield found
    found.close()


@pytest.fixture(scope="module")
def answers(kubectl: Kubectl, rest: Rest) -> dict[str, tuple[int, Object]]:
    """What came back for a plain run and for each hostile one, all made by that user; unknown fields are
    overlooked, as its author asks."""
    bodies = {"plain": run_of("plain", parameters={"seed": 100_000})}
    for number, (name, spec) in enumerate(hostile.SPECS.items()):
        bodies[name] = _merged(run_of(name, parameters={"seed": 1000 + number}), {"spec": spec})
    for number, (name, change) in enumerate(hostile.OBJECTS.items()):
        bodies[name] = _merged(run_of(name, parameters={"seed": 2000 + number}), change)
    path = TRAINING_RUNS.format(namespace=NAMESPACE)
    return {name: rest.ask("POST", path, body, USER, fieldValidation="Ignore") for name, body in bodies.items()}


def test_there_are_enough_of_them() -> None:
    assert len(hostile.SPECS) + len(hostile.OBJECTS) >= 60


def test_each_is_refused_or_gives_the_plain_job(kubectl: Kubectl, answers: dict[str, tuple[int, Object]]) -> None:
    made = {name: body["metadata"]["name"] for name, (status, body) in answers.items() if status == 201}
    assert {status for status, _ in answers.values()} <= {201, 422}
    runs = _settled(kubectl, set(made.values()))
    jobs = {job["metadata"]["name"]: job for job in kubectl.items("jobs")}
    assert set(jobs) <= set(made.values())
    plain = jobs.pop("plain")
    wrong = []
    for attempt, name in made.items():
        job = jobs.pop(name, None)
        if job is not None:
            wrong += [f"{attempt}: {line}" for line in differences(job, expected_job(plain, runs[name]))]
        elif name != "plain" and condition(runs[name]) != ("False", "ImageNotAllowed"):
            wrong.append(f"{attempt}: {condition(runs[name])} without a Job")
    assert wrong == []
    assert jobs == {}
    tell(f"hostile specs: {len(answers) - 1}, of which {len(answers) - len(made)} refused, the others harmless")


@pytest.mark.parametrize(("method", "path", "body"), hostile.CALLS.values(), ids=hostile.CALLS)
def test_nothing_else_is_allowed(
    kubectl: Kubectl, rest: Rest, answers: dict[str, tuple[int, Object]], method: str, path: str, body: Any
) -> None:
    type_ = "application/merge-patch+json" if method == "PATCH" else "application/json"
    status, answer = rest.ask(method, path.format(namespace=NAMESPACE), body, USER, type_)
    assert (status, answer["reason"]) == (403, "Forbidden")


def test_a_planted_difference_is_found(kubectl: Kubectl, answers: dict[str, tuple[int, Object]]) -> None:
    _settled(kubectl, {"plain"})
    job = kubectl.get("job", "plain")
    run = kubectl.get("trainingrun", "plain")
    assert differences(job, expected_job(job, run)) == []
    changed = copy.deepcopy(job)
    changed["spec"]["template"]["spec"]["serviceAccountName"] = "mlops-operator"
    changed["spec"]["template"]["spec"]["containers"][0]["env"].append({"name": "X", "value": "y"})
    assert {line.split(":")[0] for line in differences(changed, expected_job(job, run))} == {
        ".spec.template.spec.serviceAccountName",
        ".spec.template.spec.containers[0].env",
    }


def _settled(kubectl: Kubectl, names: set[str]) -> dict[str, Object]:
    """The runs, once each has a Job or an end."""
    found: dict[str, Object] = {}

    def settled() -> bool:
        found.update({run["metadata"]["name"]: run for run in kubectl.items("trainingruns")})
        return all(condition(found[name])[1] not in ("", "Queued") for name in names)

    until("all are judged", settled)
    return found


def expected_job(plain: Object, run: Object) -> Object:
    """The plain run's Job with what `run` may change in it."""
    job, spec = copy.deepcopy(plain), run["spec"]
    name, status = run["metadata"]["name"], run["status"]
    commit = run["metadata"].get("annotations", {}).get(f"{OWN}git-commit", "")[:64]
    job["metadata"]["name"] = name
    job["metadata"]["ownerReferences"][0] |= {"name": name, "uid": run["metadata"]["uid"]}
    job["metadata"]["annotations"] |= {
        f"{OWN}image": status["image"],
        f"{OWN}bucket": status["bucket"],
        f"{OWN}version": status["version"],
        f"{OWN}git-commit": commit,
    }
    pod = job["spec"]["template"]
    for labels in (job["metadata"]["labels"], pod["metadata"]["labels"]):
        labels["app.kubernetes.io/instance"] = name
    env = {
        "CATSDOGS_BUCKET": status["bucket"],
        "CATSDOGS_VERSION": status["version"],
        "CATSDOGS_PARAMETERS": json.dumps(checked_parameters(spec["parameters"]), separators=(",", ":")),
        "CATSDOGS_IMAGE": status["image"],
        "CATSDOGS_RUN": f"{NAMESPACE}/{name}",
        "CATSDOGS_RUN_UID": run["metadata"]["uid"],
        "CATSDOGS_GIT_COMMIT": commit.replace("$(", "$$("),  # nothing is expanded
    }
    for container in (*pod["spec"]["initContainers"], *pod["spec"]["containers"]):
        container["image"] = status["image"]
        resources = spec["resources"]
        container["resources"]["requests"] = {"cpu": resources["cpu"], "memory": resources["memory"]}
        container["resources"]["limits"] = {"memory": resources["memory"]}
        container["env"] = [_variable(old, env) for old in container["env"]]
    return job


def _variable(old: Object, env: dict[str, str]) -> Object:
    name = old["name"]
    value = env.get(name, old.get("value", ""))
    return {"name": name, "value": value} if value else {"name": name}


def differences(one: Any, other: Any, where: str = "") -> list[str]:
    """Where two Jobs differ in what somebody decided; what the API server itself sets is no matter."""
    if isinstance(one, dict) and isinstance(other, dict):
        names = [name for name in dict.fromkeys((*one, *other)) if f"{where}.{name}" not in SERVER_SET]
        return [line for name in names for line in differences(one.get(name), other.get(name), f"{where}.{name}")]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [
            line
            for at, pair in enumerate(zip(one, other, strict=True))
            for line in differences(*pair, f"{where}[{at}]")
        ]
    return [] if one == other else [f"{where}: {one!r} is not {other!r}"]


SERVER_SET = {
    ".metadata.uid",
    ".metadata.resourceVersion",
    ".metadata.creationTimestamp",
    ".metadata.generation",
    ".status",
    ".spec.selector.matchLabels.batch.kubernetes.io/controller-uid",
    ".spec.template.metadata.labels.batch.kubernetes.io/controller-uid",
    ".spec.template.metadata.labels.batch.kubernetes.io/job-name",
    ".spec.template.metadata.labels.controller-uid",
    ".spec.template.metadata.labels.job-name",
}


def _merged(one: Object, other: Object) -> Object:
    merged = dict(one)
    for name, value in other.items():
        old = merged.get(name)
        merged[name] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged
