"""The program as its Job runs it: environment in, termination message and objects out; and what its image needs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import distributions, packages_distributions
from pathlib import Path
from typing import Any

import pytest

from catsdogs.errors import StageError
from catsdogs.gate.__main__ import message_of
from catsdogs.gate.settings import Address, ModelFile, Settings, from_environment
from devcluster.images import IMAGES
from devcluster.paths import CHECKOUT
from tests.workloads.gate import planted
from tests.workloads.gate.conftest import World
from tests.workloads.pod.conftest import WORKLOADS

REPORT = "reports/cats-dogs/api/0123456789ab/"
CODE = [part for part in IMAGES["server"].inputs if part.startswith("workloads/")]


@dataclass(frozen=True)
class Ended:
    code: int
    message: dict[str, Any]
    log: str


def environment(world: World, candidate: ModelFile, **changes: str) -> dict[str, str]:
    """All variables, as the operator sets them for the first model."""
    return {
        "GATE_CANDIDATE_URI": str(candidate.address),
        "GATE_CANDIDATE_SHA256": candidate.sha256,
        "GATE_SERVING_URI": "",
        "GATE_SERVING_SHA256": "",
        "GATE_CANDIDATE_URL": "",
        "GATE_POLICY": "Compare",
        "GATE_METRIC": "accuracy",
        "GATE_MINIMUM": "0.60",
        "GATE_MAX_REGRESSION": "0.01",
        "GATE_INCONCLUSIVE": "Accept",
        "GATE_EVAL_SET": "",
        "GATE_SMOKE_MAX_MILLIS": "0",
        "GATE_REPORT": f"gs://{world.bucket}/{REPORT}",
        "STORAGE_EMULATOR_HOST": world.store.endpoint,
        **changes,
    }


def run(folder: Path, env: dict[str, str]) -> Ended:
    log = folder / "termination-log"
    done = subprocess.run(
        [sys.executable, "-m", "catsdogs.gate"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(WORKLOADS), "CATSDOGS_TERMINATION_LOG": str(log), **env},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    data = log.read_bytes()
    assert len(data) <= 2000
    return Ended(done.returncode, json.loads(data), done.stdout + done.stderr)


def test_a_verdict_is_told_to_the_bucket_and_to_the_termination_message(
    world: World, serving: ModelFile, tmp_path: Path
) -> None:
    """A refusal is a verdict too: exit code 0."""
    worse = world.publish("3e3e00000001", planted.WORSE)
    changes = {"GATE_SERVING_URI": str(serving.address), "GATE_SERVING_SHA256": serving.sha256}

    ended = run(tmp_path, environment(world, worse, **changes))

    assert (ended.code, ended.message["verdict"]) == (0, "WorseThanServing"), ended.log
    assert json.loads(world.read(f"{REPORT}verdict.json")) == ended.message
    page = world.read(f"{REPORT}report.html").decode()
    shown = re.findall(r"<h2>(The candidate is [^<]+)</h2><p class=note>([^<]+)</p>", page)
    assert shown == [
        ("The candidate is wrong, the serving model right", "8 of 400 pictures"),
        ("The candidate is right, the serving model wrong", "0 of 400 pictures"),
    ]
    assert page.count('src="data:image/jpeg;base64,') == 8
    assert not re.search(r'src="(?!data:)|href=|url\(|@import', page)


def test_a_failure_is_no_verdict(world: World, serving: ModelFile, tmp_path: Path) -> None:
    gone = ModelFile(Address(world.bucket, "models/cats-dogs/gone/model.pt"), serving.sha256)

    ended = run(tmp_path, environment(world, gone, GATE_REPORT=f"gs://{world.bucket}/reports/none/"))

    assert (ended.code, ended.message) == (
        66,
        {
            "ok": False,
            "reason": "BucketNotFound",
            "message": f"{gone.address} is not there",
            "hint": "name a model that is, or publish it",
        },
    )
    assert world.names("reports/none/") == []


def test_all_settings_are_read(world: World) -> None:
    file = ModelFile(Address("gate", "models/m/model.pt"), "a" * 64)
    env = environment(
        world,
        file,
        GATE_SERVING_URI="gs://other/model.pt",
        GATE_SERVING_SHA256="b" * 64,
        GATE_CANDIDATE_URL="http://10.0.0.7:8080",
        GATE_POLICY="Minimum",
        GATE_METRIC="rocAuc",
        GATE_INCONCLUSIVE="Refuse",
        GATE_EVAL_SET="c" * 64,
        GATE_SMOKE_MAX_MILLIS="250",
    )

    assert from_environment(env) == Settings(
        candidate=file,
        serving=ModelFile(Address("other", "model.pt"), "b" * 64),
        report=Address("gate", REPORT),
        candidate_url="http://10.0.0.7:8080",
        policy="Minimum",
        metric="rocAuc",
        minimum=0.6,
        max_regression=0.01,
        inconclusive="Refuse",
        eval_set="c" * 64,
        smoke_max_millis=250.0,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GATE_CANDIDATE_URI", ""),
        ("GATE_CANDIDATE_URI", "file:///model.pt"),
        ("GATE_CANDIDATE_SHA256", "A" * 64),
        ("GATE_SERVING_SHA256", ""),
        ("GATE_CANDIDATE_URL", "file:///etc/passwd"),
        ("GATE_POLICY", "Off"),
        ("GATE_METRIC", "f1"),
        ("GATE_MINIMUM", "60"),
        ("GATE_MAX_REGRESSION", "nan"),
        ("GATE_INCONCLUSIVE", "accept"),
        ("GATE_EVAL_SET", "../models"),
        ("GATE_SMOKE_MAX_MILLIS", "-1"),
        ("GATE_REPORT", "gs://bucket"),
    ],
)
def test_a_wrong_setting_is_named(world: World, serving: ModelFile, name: str, value: str) -> None:
    env = environment(world, serving, GATE_SERVING_URI="gs://b/m.pt", GATE_SERVING_SHA256="b" * 64)

    with pytest.raises(StageError, match=name) as caught:
        from_environment({**env, name: value})

    assert caught.value.code == 78


def test_a_long_verdict_is_cut_to_what_a_termination_message_holds() -> None:
    verdict = {"ok": True, "verdict": "SanityFailed", "message": "ü" * 5000, "report": "gs://b/" + "r" * 900}

    cut = json.loads(message_of(verdict))

    assert len(message_of(verdict)) <= 2000
    assert (cut["ok"], cut["verdict"], cut["message"][:100]) == (True, "SanityFailed", "ü" * 100)


def test_the_image_copies_what_its_inputs_are() -> None:
    """Else a changed file would not change the image's tag, or the image would lack it."""
    text = (CHECKOUT / "workloads/Dockerfile.server").read_text()
    copied = [word for line in text.splitlines() if line.startswith("COPY workloads/") for word in line.split()[1:-1]]

    assert sorted(copied) == sorted(CODE)


def test_the_judge_needs_nothing_that_the_server_image_lacks(tmp_path: Path) -> None:
    """Only the files that the image has, and no package that is not in its lock files."""
    for part in CODE:
        target = tmp_path / part
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (CHECKOUT / part).is_dir() else shutil.copyfile)(CHECKOUT / part, target)
    modules = sorted(f"catsdogs.gate.{file.stem}" for file in (CHECKOUT / "workloads/catsdogs/gate").glob("[a-z]*.py"))
    program = f"""
import sys
for name in {sorted(lacking())}:
    sys.modules[name] = None
import {", ".join(modules)}, catsdogs.gate.__main__
print(catsdogs.gate.__file__)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path / "workloads")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == str(tmp_path / "workloads/catsdogs/gate/__init__.py")


def lacking() -> set[str]:
    """Import names of the packages installed here that neither lock file of the server's image names."""
    locks = "".join((CHECKOUT / f"requirements/{name}.lock").read_text() for name in ("torch", "server"))
    locked = {line.partition("==")[0] for line in locks.splitlines() if "==" in line}
    named = {re.sub(r"[-_.]+", "-", found.metadata["Name"]).lower() for found in distributions()}
    others = named - locked
    names = {
        module
        for module, owners in packages_distributions().items()
        if {re.sub(r"[-_.]+", "-", owner).lower() for owner in owners} <= others
    }
    assert {"matplotlib", "dvc", "mlflow", "yaml"} <= names
    return names


def test_torch_is_not_imported_for_a_wrong_setting(tmp_path: Path) -> None:
    ended = run(tmp_path, {"PYTHONPROFILEIMPORTTIME": "1"})

    assert (ended.code, ended.message["reason"], ended.message["message"]) == (
        78,
        "ConfigError",
        "GATE_CANDIDATE_URI is not set",
    )
    assert "catsdogs.gate.judge" in ended.log
    assert "torch" not in ended.log.replace("torchvision", "")
