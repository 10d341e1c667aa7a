"""The delivery's steps on a real API server: with the operator for TrainingRuns and a pretended kubelet, and with a
ModelServer whose status the test writes, since no operator serves its namespace."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from devcluster import cluster, programs
from devcluster.progress import Reporter
from tests.delivery.steps import Ended, Steps, steps_in, with_programs
from tests.integration.world import (
    IMAGE,
    SHA256,
    Kubectl,
    Operator,
    apply,
    ended,
    finish,
    install,
    pod_of,
    report,
    until,
)

SETTINGS = {"TRAINER_IMAGE": IMAGE, "SERVER_IMAGE": IMAGE, "BUCKET": "photos"}
DEPLOYER = "deployer@pets-123456.iam.gserviceaccount.com"
SERVED = "elsewhere"  # a namespace that the operator does not look at
OTHER = "b" * 64


@pytest.fixture(scope="module")
def kubectl(control_plane: cluster.Cluster) -> Iterator[Kubectl]:
    """The CRDs, and the namespace that deploy/delivery names, which other tests use too: nothing stays in it."""
    ask = install(control_plane, "cats-dogs")
    yield ask
    ask("delete", "trun,msrv", "--all", "-n", "cats-dogs")
    until("the runs' Jobs are gone", lambda: not ask.items("jobs"))
    ask("delete", "pods", "--all", "-n", "cats-dogs", "--force", "--grace-period=0")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Steps:
    """One checkout for all: each test makes commits of its own in it."""
    return steps_in(tmp_path_factory.mktemp("delivery"))


@pytest.fixture
def steps(kubectl: Kubectl, checkout: Steps, tmp_path: Path) -> Steps:
    """The delivery's steps with an administrator's kubeconfig."""
    return logged_in(with_programs(checkout, tmp_path), kubectl)


def logged_in(steps: Steps, kubectl: Kubectl, **user: Any) -> Steps:
    """The same steps with another login."""
    config = yaml.safe_load(kubectl.cluster.kubeconfig.read_text())
    config["current-context"] = kubectl.cluster.context
    for entry in config["users"]:
        entry["user"] = user if "token" in user else {**entry["user"], **user}
    file = steps.programs / f"kubeconfig-{len(list(steps.programs.iterdir()))}"
    file.write_text(yaml.safe_dump(config))
    steps.program("kubectl", f'exec {programs.ensure(("kubectl",), Reporter())["kubectl"]} "$@"')
    return Steps(steps.checkout, steps.programs, {**SETTINGS, "KUBECONFIG": str(file)})


def changed(steps: Steps, file: str) -> str:
    """A commit that changes one file; returns it."""
    place = steps.checkout / file
    place.write_text(place.read_text() + "\n# changed\n")
    return steps.commit(f"{file} changes")


def wait(steps: Steps, run: str, seconds: float, *more: str) -> Ended:
    return steps("wait_run.py", run, f"--seconds={seconds}", "--pause=0.2", *more)


def test_a_run_of_the_commit_is_applied_once_waited_for_and_told(
    kubectl: Kubectl, operator: Operator, steps: Steps
) -> None:
    commit = changed(steps, "params.yaml")
    first = steps.ok("train.py")
    name = f"cats-dogs-{commit[:12]}"
    assert first.outputs == {"run": name, "commit": commit}
    run = kubectl.get("trun", name)
    assert run["metadata"]["annotations"]["mlops.cats-dogs.io/git-commit"] == commit
    assert (run["spec"]["image"], run["spec"]["bucket"]) == (IMAGE, "photos")
    assert steps.ok("train.py").outputs == first.outputs
    changed(steps, "operator/mlops_operator/metrics.py")  # nothing that training depends on
    assert steps.ok("train.py").outputs == first.outputs
    assert kubectl.get("trun", name)["metadata"]["resourceVersion"]
    pod_of(kubectl, name)
    assert wait(steps, name, 1).outputs == {"finished": "false"}
    late = wait(steps, name, 1, "--last").error
    assert late.startswith(f"Not finished::TrainingRun cats-dogs/{name} is still at work and goes on")
    finish(kubectl, name)
    told = wait(steps, name, 60)
    assert told.outputs == {
        "finished": "true",
        "reason": "Completed",
        "sha256": SHA256,
        "version": kubectl.get("trun", name)["status"]["version"],
    }
    page = steps.ok("summary.py", name).said
    assert f"`{name}`: Completed" in page
    assert f"| SHA-256 | {SHA256} |" in page
    assert f"| commit | {commit} |" in page
    assert "| accuracy | 0.91" in page
    again = steps.ok("train.py", ANEW="true").outputs["run"]
    assert again == f"{name}-2"
    assert steps.ok("train.py").outputs["run"] == name


def test_a_run_that_failed_is_said_in_the_operators_words_and_made_anew(
    kubectl: Kubectl, operator: Operator, steps: Steps
) -> None:
    name = f"cats-dogs-{changed(steps, 'dvc.yaml')[:12]}"
    assert steps.ok("train.py").outputs["run"] == name
    said = json.dumps({"ok": False, "reason": "DataError", "message": "class Dog has no photographs"})
    report(kubectl, name, "Failed", {"ingest": ended(65, said)})
    line = wait(steps, name, 60).error
    assert line.startswith(
        f"Training failed::TrainingRun {name} failed in Ingest (DataError): class Dog has no photographs"
    )
    assert "Correct the photographs in the bucket" in line
    assert "class Dog has no photographs" in steps.ok("summary.py", name).said
    assert steps.ok("train.py").outputs["run"] == f"{name}-2"


def test_an_image_that_was_built_anew_makes_another_run(kubectl: Kubectl, operator: Operator, steps: Steps) -> None:
    name = f"cats-dogs-{changed(steps, 'params.yaml')[:12]}"
    assert steps.ok("train.py").outputs["run"] == name
    other = IMAGE.replace("1" * 64, "2" * 64)
    assert steps.ok("train.py", TRAINER_IMAGE=other).outputs["run"] == f"{name}-2"


def test_a_run_that_nobody_looks_at_is_said(kubectl: Kubectl, steps: Steps) -> None:
    kubectl("create", "namespace", "unserved")
    apply(Kubectl(kubectl.cluster, "unserved"), "alone")
    line = steps("wait_run.py", "alone", "--seconds=1", "--pause=0.2", NAMESPACE="unserved").error
    assert line.startswith("Operator silent::no operator has looked at TrainingRun alone in ")
    gone = steps("wait_run.py", "nobody", "--seconds=1", NAMESPACE="unserved").error
    assert gone == (
        "Deleted::trainingruns.mlops.cats-dogs.io unserved/nobody was deleted meanwhile: run this workflow again"
    )


def test_a_login_that_expired_ends_a_wait_but_for_the_last(kubectl: Kubectl, steps: Steps) -> None:
    expired = logged_in(steps, kubectl, token="of-an-hour-ago")
    assert wait(expired, "any", 5).outputs == {"finished": "false"}
    assert wait(expired, "any", 5, "--last").error.startswith("Login expired::Reading trainingruns")


def test_the_deployer_may_deliver_and_nothing_else(kubectl: Kubectl, steps: Steps) -> None:
    deployer = logged_in(steps, kubectl, **{"as": DEPLOYER})
    assert deployer("cluster").error.startswith(f"No rights::{DEPLOYER} may not get trainingruns.mlops.cats-dogs.io")
    assert deployer("train.py").error.startswith("No rights::Reading trainingruns.mlops.cats-dogs.io cats-dogs/")
    rights = steps(
        "render.py",
        stdin=(steps.checkout / "deploy/delivery/rights.yaml").read_text(),
        DEPLOYER_SERVICE_ACCOUNT=DEPLOYER,
    )
    administrator = [steps.programs / "kubectl", f"--kubeconfig={steps.env['KUBECONFIG']}"]
    subprocess.run([*administrator, "apply", "--server-side", "-f", "-"], input=rights.said, text=True, check=True)
    assert "the deployer may deliver" in deployer.ok("cluster").said
    changed(steps, "params.yaml")
    assert deployer.ok("train.py").outputs["run"].startswith("cats-dogs-")
    for words in (
        "create pods -n cats-dogs",
        "get secrets -n cats-dogs",
        "get secrets -n mlops-system",
        "delete trainingruns.mlops.cats-dogs.io -n cats-dogs",
        "patch deployments.apps/other -n mlops-system",
        "patch roles.rbac.authorization.k8s.io -n cats-dogs",
        "patch customresourcedefinitions.apiextensions.k8s.io",
    ):
        assert kubectl.tried("auth", "can-i", *words.split(), f"--as={DEPLOYER}").stdout.strip() == "no", words


def test_kinds_of_another_commit_are_an_administrators_to_change(steps: Steps) -> None:
    assert steps.ok("installed.py").errors == []
    file = steps.checkout / "crds/trainingruns.mlops.cats-dogs.io.yaml"
    before = file.read_text()
    file.write_text(before.replace("maximum: 500", "maximum: 501"))
    line = steps("installed.py").error
    file.write_text(before)
    assert line.startswith("Kinds out of date::trainingruns.mlops.cats-dogs.io in the cluster differ")


def test_rights_of_another_commit_are_an_administrators_to_change(steps: Steps) -> None:
    file = steps.checkout / "deploy/workloads/role.yaml"
    before = file.read_text()
    file.write_text(before.replace("verbs: [list, watch]", "verbs: [get, list, watch]", 1))
    line = steps("installed.py").error
    file.write_text(before)
    assert line.startswith(
        "Rights out of date::Role cats-dogs/mlops-operator in the cluster differs from deploy/workloads"
    )


def test_a_cluster_that_does_not_answer_is_one_line(kubectl: Kubectl, steps: Steps) -> None:
    file = Path(steps.env["KUBECONFIG"])
    config = yaml.safe_load(file.read_text())
    for entry in config["clusters"]:
        entry["cluster"]["server"] = "https://127.0.0.1:1"
    file.write_text(yaml.safe_dump(config))
    for step, *words in (["train.py"], ["cluster"], ["serve.py", "any"], ["operator"]):
        env = {"OVERLAY": str(steps.checkout / "deploy/overlays/local"), **IMAGES} if step == "operator" else {}
        assert steps(step, *words, **env).error.startswith("Unreachable::"), step


IMAGES = {"OPERATOR_IMAGE": IMAGE, "MLFLOW_PUBLIC_URL": ""}


def test_only_the_operators_deployment_is_applied_and_waited_for(kubectl: Kubectl, steps: Steps) -> None:
    overlay = {"OVERLAY": str(steps.checkout / "deploy/overlays/local")}
    sly = steps("operator", **overlay, **{**IMAGES, "OPERATOR_IMAGE": "x\n    y: z"})
    assert sly.error.startswith("Setting wrong::OPERATOR_IMAGE")
    missing = steps("operator", **overlay, MLFLOW_PUBLIC_URL="")
    assert missing.error.startswith(
        "Setting missing::OPERATOR_IMAGE is not set; run `scripts/delivery/image find operator`"
    )
    line = steps("operator", **overlay, **IMAGES, SECONDS_TO_ROLL="1").error
    assert line.startswith("Operator not ready::mlops-operator did not get ready in 1 s")  # there is no node
    made = Kubectl(kubectl.cluster, "mlops-system")
    assert [item["metadata"]["name"] for item in made.items("deployments")] == ["mlops-operator"]
    assert made.items("services") == []
    kubectl("delete", "deployment", "mlops-operator", "-n", "mlops-system")


@pytest.fixture
def server(kubectl: Kubectl, steps: Steps) -> Steps:
    """Steps in a namespace without an operator, with a ModelServer applied for run `r1`."""
    kubectl(
        "apply",
        "--server-side",
        "-f",
        "-",
        given={"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SERVED}},
    )
    manifests = steps.programs / "manifests"
    manifests.mkdir()
    for file in (steps.checkout / "deploy/delivery").iterdir():
        (manifests / file.name).write_text(file.read_text().replace("namespace: cats-dogs", f"namespace: {SERVED}"))
    made = Steps(steps.checkout, steps.programs, {**steps.env, "NAMESPACE": SERVED, "MANIFESTS": str(manifests)})
    kubectl("delete", "msrv", "--all", "-n", SERVED)
    assert made.ok("serve.py", "r1").outputs == {"server": "cats-dogs-api", "generation": "1"}
    return made


def decide(kubectl: Kubectl, run: str, serving: str, generation: int = 1, **more: Any) -> None:
    """Write what the operator would into the server's status: it has settled on a run."""
    said = {"type": "Settled", "status": "True", "reason": "Served", "message": "m", "observedGeneration": generation}
    status = {
        "observedGeneration": generation,
        "conditions": [{**said, "lastTransitionTime": "2026-01-01T00:00:00Z"}],
        "decidedFor": run,
        "model": {"uri": "gs://photos/m", "sha256": serving, "version": serving[:12]},
        "url": "http://192.0.2.1",
        **more,
    }
    Kubectl(kubectl.cluster, SERVED).patch("msrv", "cats-dogs-api", {"status": status}, "--subresource=status")


def settle(steps: Steps, run: str = "r1", sha256: str = SHA256) -> Ended:
    words = (f"--run={run}", f"--sha256={sha256}", "--seconds=1", "--pause=0.2")
    return steps("wait_server.py", "cats-dogs-api", *words)


def test_a_server_that_settled_on_the_run_with_its_digest_has_an_address(kubectl: Kubectl, server: Steps) -> None:
    assert settle(server).error.startswith(f"Not settled::ModelServer {SERVED}/cats-dogs-api has not settled in 1 s")
    decide(kubectl, "r0", SHA256)  # the same model, decided for the run before
    assert settle(server).error.startswith("Not settled::")
    decide(kubectl, "r1", SHA256)
    assert settle(server).outputs == {"url": "http://192.0.2.1/"}
    page = server.ok("summary.py", "", "cats-dogs-api").said
    assert "| predict | `curl -F file=@cat.jpg http://192.0.2.1/predict` |" in page
    assert server.ok("serve.py", "r2").outputs["generation"] == "2"
    decide(kubectl, "r2", SHA256)  # a decision on the spec before
    assert settle(server, "r2").error.startswith("Not settled::")
    decide(kubectl, "r2", SHA256, 2, url=None)
    assert settle(server, "r2").error.startswith("No address::ModelServer cats-dogs-api has no address")


def test_a_model_that_was_refused_is_said_in_the_operators_words(kubectl: Kubectl, server: Steps) -> None:
    entry = {"sha256": SHA256, "trainingRun": "r1", "reason": "WorseThanServing", "message": "accuracy 0.61 of 0.9"}
    decide(kubectl, "r1", OTHER, quarantine=[{**entry, "since": "2026-01-01T00:00:00Z", "terms": "t"}])
    line = settle(server).error
    assert line.startswith(
        "Model refused::ModelServer cats-dogs-api does not serve model aaaaaaaaaaaa (WorseThanServing)"
    )
    assert "accuracy 0.61 of 0.9; model bbbbbbbbbbbb serves on" in line
    decide(kubectl, "r1", OTHER, quarantine=None)
    assert settle(server).error.startswith(
        "Other model::ModelServer cats-dogs-api serves bbbbbbbbbbbb, and aaaaaaaaaaaa"
    )


def test_what_a_person_holds_is_not_let_go(kubectl: Kubectl, server: Steps) -> None:
    held = Kubectl(kubectl.cluster, SERVED)
    for field, value in (("rollbackTo", "1"), ("stop", True)):
        held.patch("msrv", "cats-dogs-api", {"spec": {field: value}})
        line = server("serve.py", "r2").error
        assert line.startswith(f"Held by hand::spec.{field} of ModelServer {SERVED}/cats-dogs-api is set")
        held.patch("msrv", "cats-dogs-api", {"spec": {field: None}})
    until("free again", lambda: server("serve.py", "r2").code == 0)
