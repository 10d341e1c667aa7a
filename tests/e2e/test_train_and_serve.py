"""The main job on a real cluster: from `kubectl apply` of two resources to answers from `/predict`."""

import json
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from devcluster.control_plane import answers
from tests.e2e.kube import RUN, Kube, eventually, model_server, training_run
from tests.e2e.store import Store

SERVER = "e2e-api"


@pytest.fixture(scope="module")
def url(kube: Kube, trained: dict) -> str:
    """The address of a ModelServer that serves the trained model."""
    kube.apply(model_server(SERVER, RUN, gate={"minimum": "0.55"}))
    kube.wait(f"msrv/{SERVER}", "condition=Ready", 300)
    address = kube.get(f"msrv/{SERVER}")["status"]["url"]
    eventually("the load balancer's address answers", lambda: answers(f"{address}health"), 30)
    return address


def get(address: str) -> dict:
    with urllib.request.urlopen(address, timeout=10) as answer:
        return json.load(answer)


def test_the_run_says_how_it_went(kube: Kube, trained: dict) -> None:
    conditions = {c["type"]: (c["status"], c["reason"]) for c in trained["conditions"]}
    assert conditions["Succeeded"] == ("True", "Completed")
    assert conditions["Finished"] == ("True", "Completed")
    assert trained["stage"] == "Evaluate"
    assert float(trained["model"]["testAccuracy"]) > 0.5
    line = kube.run("get", "trun", RUN, "--no-headers").stdout.split()
    assert line[:3] == [RUN, "Evaluate", "Completed"]
    assert trained["version"] in line


def test_the_bucket_holds_the_model_and_its_lineage(store: Store, trained: dict) -> None:
    prefix = f"models/cats-dogs/{trained['version']}/"
    described = json.loads(store.read(f"{prefix}model.json"))
    assert described["sha256"] == trained["model"]["sha256"] == store.sha256(f"{prefix}model.pt")
    assert described["lineage"]["trainingRun"] == f"cats-dogs/{RUN}"
    assert described["lineage"]["rawHash"] == trained["rawHash"]
    assert described["lineage"]["image"] == trained["image"]
    assert f"{prefix}dvc.lock" in store.names(prefix)
    data = f"datasets/cats-dogs/{described['lineage']['dataVersion']}/"
    for part in ("ingested/manifest.json", "processed/manifest.json", "eda/report.html", "eda/summary.json"):
        assert f"{data}{part}" in store.names(data)


def test_the_run_is_in_mlflow(mlflow: str, trained: dict) -> None:
    run_id, sha256 = trained["lineage"]["mlflowRunId"], trained["model"]["sha256"]
    run = get(f"{mlflow}/api/2.0/mlflow/runs/get?run_id={run_id}")["run"]
    assert run["info"]["status"] == "FINISHED"
    tags = {tag["key"]: tag["value"] for tag in run["data"]["tags"]}
    assert (tags["delivered"], tags["trainingRun"]) == ("whole", f"cats-dogs/{RUN}")
    assert "testAccuracy" in {metric["key"] for metric in run["data"]["metrics"]}
    shown = get(f"{mlflow}/api/2.0/mlflow/artifacts/list?run_id={run_id}")["files"]
    assert {file["path"] for file in shown} >= {"eda", "evaluation", "model"}
    wanted = urllib.parse.quote(f"run_id = '{run_id}'")
    [version] = get(f"{mlflow}/api/2.0/mlflow/model-versions/search?filter={wanted}")["model_versions"]
    assert sha256 in {tag["value"] for tag in version["tags"]}
    # Another test may have trained since; whatever is newest has the alias.
    alias = get(f"{mlflow}/api/2.0/mlflow/registered-models/alias?name=cats-dogs&alias=candidate")["model_version"]
    assert int(alias["version"]) >= int(version["version"])
    assert trained["lineage"]["mlflowRunUrl"].startswith(f"{mlflow}/")  # a page for a browser here


def test_answers_a_picture_sent_as_a_form_and_as_a_body(url: str, trained: dict, drawings: Path) -> None:
    picture = next((drawings / "Cat").glob("*.jpg"))
    form = subprocess.run(
        ["curl", "-fsS", "-F", f"file=@{picture}", f"{url}predict"], capture_output=True, text=True, check=True
    )
    request = urllib.request.Request(f"{url}predict", picture.read_bytes(), {"Content-Type": "image/jpeg"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        body = json.load(answer)
    assert json.loads(form.stdout)["probabilities"] == body["probabilities"]
    assert body["label"] in ("cat", "dog")
    assert body["confidence"] == max(body["probabilities"].values())
    assert sum(body["probabilities"].values()) == pytest.approx(1.0)
    assert body["model"]["sha256"] == trained["model"]["sha256"]


def test_beats_chance_on_the_drawings(url: str, drawings: Path) -> None:
    right = 0
    pictures = [file for label in ("Cat", "Dog") for file in sorted((drawings / label).glob("*.jpg"))[:40]]
    for file in pictures:
        request = urllib.request.Request(f"{url}predict", file.read_bytes(), {"Content-Type": "image/jpeg"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            right += json.load(answer)["label"] == file.parent.name.lower()
    assert right >= 50, f"{right} of {len(pictures)} right"


def test_refuses_what_is_no_picture(url: str) -> None:
    request = urllib.request.Request(f"{url}predict", b"not a picture", {"Content-Type": "image/jpeg"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    assert refused.value.code == 400
    assert "error" in json.load(refused.value)
    refused.value.close()


def test_health_model_and_metrics(url: str, trained: dict) -> None:
    sha256 = trained["model"]["sha256"]
    health = get(f"{url}health")
    assert (health["status"], health["model_loaded"], health["sha256"]) == ("healthy", True, sha256)
    assert get(f"{url}model")["sha256"] == sha256
    with urllib.request.urlopen(f"{url}metrics", timeout=10) as answer:
        assert f'sha256="{sha256}"' in answer.read().decode()
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert "text/html" in answer.headers["Content-Type"]


def test_answers_the_clients_of_the_first_implementation(url: str) -> None:
    assert get(f"{url}health")["model_loaded"] is True
    buffer = BytesIO()
    Image.new("RGB", (224, 224), (120, 90, 60)).save(buffer, "JPEG")
    done = subprocess.run(
        ["curl", "-fsS", "-F", "file=@-;filename=x.jpg;type=image/jpeg", f"{url}predict"],
        input=buffer.getvalue(), capture_output=True, check=True,
    )  # fmt: skip
    assert {"label", "confidence", "probabilities"} <= set(json.loads(done.stdout))


def test_the_model_server_settles_on_the_run(kube: Kube, url: str, trained: dict) -> None:
    kube.wait(f"msrv/{SERVER}", "condition=Settled", 60)
    status = kube.get(f"msrv/{SERVER}")["status"]
    assert status["decidedFor"] == RUN
    assert status["model"]["sha256"] == trained["model"]["sha256"]
    assert status["gate"]["verdict"] == "Accepted"
    assert [(entry["outcome"], entry["reason"]) for entry in status["history"]] == [("Served", "Accepted")]
    for kind in ("deployment", "service", "podmonitoring", "pdb"):
        assert kube.get(f"{kind}/{SERVER}")["metadata"]["ownerReferences"][0]["name"] == SERVER


def test_the_same_key_is_reused_without_a_pod(kube: Kube, store: Store, trained: dict) -> None:
    kube.run("delete", "trun", RUN)
    eventually("the Job is gone", lambda: kube.run("get", "job", RUN, check=False).returncode != 0)
    kube.apply(training_run(RUN, store.bucket))
    kube.wait(f"trun/{RUN}", "condition=Finished", 60)
    assert kube.condition(f"trun/{RUN}", "Succeeded")["reason"] == "Reused"
    assert kube.get(f"trun/{RUN}")["status"]["model"] == trained["model"]
    assert kube.run("get", "job", RUN, check=False).returncode != 0


def test_deleting_the_model_server_removes_what_it_made(kube: Kube, url: str) -> None:
    kube.run("delete", "msrv", SERVER)
    for kind in ("deployment", "service", "podmonitoring", "pdb"):
        eventually(f"{kind} is gone", lambda kind=kind: kube.run("get", kind, SERVER, check=False).returncode != 0)
