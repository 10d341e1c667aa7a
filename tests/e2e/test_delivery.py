"""What deliver.yaml does once its images are pushed, step by step, on a real cluster: from the run to the summary."""

import json
from pathlib import Path

import pytest
import yaml

from demo import deploy
from demo.kubectl import Kubectl
from tests.delivery.steps import Steps, steps_in
from tests.e2e.kube import Kube, training_run
from tests.e2e.store import Store

SERVER = "e2e-delivered"


@pytest.fixture(scope="module")
def steps(
    kube: Kube, kubectl: Kubectl, store: Store, images: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Steps:
    """The steps with the cluster's images and the manifests of deploy/delivery, made small enough for one node."""
    made = steps_in(tmp_path_factory.mktemp("delivery"))
    made.program("kubectl", f'exec {" ".join(kubectl.command())} "$@"')
    small = training_run("any", store.bucket)["spec"]
    made_small(
        made.checkout / "deploy/delivery/trainingrun.yaml", parameters=small["parameters"], resources=small["resources"]
    )
    made_small(
        made.checkout / "deploy/delivery/modelserver.yaml",
        name=SERVER,
        gate={"minimum": "0.55"},
        watch={"windowSeconds": 0},
        autoscaling=None,
        resources={"cpu": "100m"},
    )
    made.commit("small")
    return Steps(
        made.checkout,
        made.programs,
        {
            **{f"{name.upper().replace('-', '_')}_IMAGE": reference for name, reference in images.items()},
            "BUCKET": store.bucket,
            "MLFLOW_PUBLIC_URL": deploy.address(kubectl, "mlflow-service", 5000),
            "STORAGE_EMULATOR_HOST": deploy.address(kubectl, "object-store", 4443),
        },
    )


def made_small(file: Path, name: str = "", **spec: object) -> None:
    """Change fields of a manifest's spec; None takes one out."""
    found = yaml.safe_load(file.read_text())
    found["metadata"]["name"] = name or found["metadata"]["name"]
    found["spec"] = {field: value for field, value in {**found["spec"], **spec}.items() if value is not None}
    file.write_text(yaml.safe_dump(found, sort_keys=False))


@pytest.fixture(scope="module")
def delivered(kube: Kube, steps: Steps, trained: dict, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """All outputs of a delivery, and its summary. The photographs, parameters and image are those of `trained`."""
    applied = steps.ok("train.py").outputs
    run = applied["run"]
    told = steps.ok("wait_run.py", run, "--seconds=600", "--pause=1", "--last").outputs
    served = steps.ok("serve.py", run).outputs
    words = (f"--run={run}", f"--sha256={told['sha256']}", "--seconds=300", "--pause=1")
    settled = steps.ok("wait_server.py", served["server"], *words).outputs
    smoke = steps.ok("smoke.py", settled["url"], told["sha256"]).said
    plots = tmp_path_factory.mktemp("plots")
    steps.ok("plots.py", told["version"], str(plots))
    page = steps.ok("summary.py", run, served["server"], str(plots)).said
    yield {**applied, **told, **served, **settled, "smoke": smoke, "page": page, "plots": str(plots)}
    kube.run("delete", f"trun/{run}", f"msrv/{SERVER}")


def test_the_same_photographs_and_image_train_nothing(kube: Kube, trained: dict, delivered: dict[str, str]) -> None:
    assert delivered["reason"] == "Reused"
    assert (delivered["sha256"], delivered["version"]) == (trained["model"]["sha256"], trained["version"])
    run = kube.get(f"trun/{delivered['run']}")
    assert delivered["run"] == f"cats-dogs-{delivered['commit'][:12]}"
    assert run["metadata"]["annotations"]["mlops.cats-dogs.io/git-commit"] == delivered["commit"]


def test_the_server_settled_on_the_run_and_answers_with_its_digest(kube: Kube, delivered: dict[str, str]) -> None:
    status = kube.get(f"msrv/{SERVER}")["status"]
    assert (status["decidedFor"], status["model"]["sha256"]) == (delivered["run"], delivered["sha256"])
    assert f"with model {delivered['sha256'][:12]}" in delivered["smoke"]


def test_another_digest_is_told_by_the_smoke_test(steps: Steps, delivered: dict[str, str]) -> None:
    line = steps("smoke.py", delivered["url"], "0" * 64).error
    assert line.startswith(f"Other model::{delivered['url']}health answers with model {delivered['sha256'][:12]}")


def test_the_summary_has_metrics_lineage_addresses_and_plots(trained: dict, delivered: dict[str, str]) -> None:
    page, model = delivered["page"], trained["model"]
    assert f"| accuracy | {model['testAccuracy']} | {model['testAccuracyLow']} to {model['testAccuracyHigh']} |" in page
    assert f"| model | {model['uri']} |" in page
    assert f"| photographs | {trained['rawHash']} |" in page
    assert f"curl -F file=@cat.jpg {delivered['url']}predict" in page
    counts = json.loads(Path(delivered["plots"], "metrics.json").read_text())["confusion"]
    assert f"| **cat** | {counts[0][0]} | {counts[0][1]} |" in page
    for plot in ("confusion.png", "curves.png", "reliability.png", "roc.png"):
        assert Path(delivered["plots"], plot).read_bytes().startswith(b"\x89PNG")
        assert plot in page


def test_the_operator_is_rolled_out_from_an_overlay(kube: Kube, kubectl: Kubectl, steps: Steps) -> None:
    overlay = steps.checkout / "deploy/overlays/local"
    settings = overlay / "operator-settings.yaml"
    registry = steps.env["TRAINER_IMAGE"].split("/")[0]  # as the demo fills it in
    settings.write_text(settings.read_text().replace("localhost:5000/", f"{registry}/"))
    before = kubectl.get("deployment", "mlops-operator", deploy.SYSTEM)
    done = steps.ok("operator", OVERLAY=str(overlay))
    assert "deployment.apps/mlops-operator serverside-applied" in done.said
    assert "successfully rolled out" in done.said
    after = kubectl.get("deployment", "mlops-operator", deploy.SYSTEM)
    assert before is not None
    assert after is not None
    assert after["spec"] == before["spec"]  # the same images and settings: nothing was started anew
