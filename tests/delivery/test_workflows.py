"""What a reviewer asks of a workflow: pinned actions, least rights, no expression in a shell, scripts that stop; the
linters' word; and that no list in it has fallen behind the code."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from devcluster import images, programs
from devcluster.progress import Reporter
from tests.delivery.steps import ROOT, Steps

GITHUB = ROOT / ".github"
WORKFLOWS = sorted(GITHUB.glob("workflows/*.yaml"))
ACTIONS = sorted(GITHUB.glob("actions/*/action.yaml"))
SHELL = sorted(
    file for file in (ROOT / "scripts" / "delivery").iterdir() if file.is_file() and file.suffix in ("", ".sh")
)
PINNED = re.compile(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")
NAMES = [file.name for file in WORKFLOWS]


def loaded(file: Path) -> dict[str, Any]:
    """A workflow; YAML 1.1 reads its `on` as true."""
    found = yaml.safe_load(file.read_text())
    return {("on" if name is True else name): value for name, value in found.items()}


def steps_of(file: Path) -> Iterator[dict[str, Any]]:
    found = loaded(file)
    parts = found["jobs"].values() if "jobs" in found else [found["runs"]]
    for part in parts:
        yield from part.get("steps", ())


@pytest.mark.parametrize("file", [*WORKFLOWS, *ACTIONS], ids=lambda file: file.name)
def test_each_action_is_pinned_by_commit_with_its_version(file: Path) -> None:
    lines = [line.strip().removeprefix("- ") for line in file.read_text().splitlines() if "uses:" in line]
    ours = {f"uses: ./{folder.parent.relative_to(ROOT)}" for folder in ACTIONS}
    assert lines
    assert [line for line in lines if not PINNED.match(line) and line not in ours] == []


def test_the_same_action_has_the_same_commit_everywhere() -> None:
    text = "".join(file.read_text() for file in (*WORKFLOWS, *ACTIONS))
    pins = set(re.findall(r"uses: ([\w./-]+)@(\w+ # \S+)", text))
    assert len(pins) == len({action for action, _ in pins})


@pytest.mark.parametrize("file", WORKFLOWS, ids=NAMES)
def test_no_job_has_a_right_that_it_was_not_given(file: Path) -> None:
    found = loaded(file)
    assert found["permissions"] == {}
    for name, job in found["jobs"].items():
        assert job["permissions"], name
        assert "timeout-minutes" in job, name
        assert re.fullmatch(r"ubuntu-\d\d\.\d\d", job["runs-on"]), name
    for step in steps_of(file):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


def test_pull_requests_get_no_secret_and_write_nothing() -> None:
    text, found = (GITHUB / "workflows/ci.yaml").read_text(), loaded(GITHUB / "workflows/ci.yaml")
    assert set(found["on"]) == {"pull_request", "push"}
    assert "secrets." not in text
    assert {right for job in found["jobs"].values() for right in job["permissions"].items()} == {("contents", "read")}


@pytest.mark.parametrize("file", [*WORKFLOWS, *ACTIONS], ids=lambda file: file.name)
def test_no_expression_reaches_a_shell(file: Path) -> None:
    assert [step["run"] for step in steps_of(file) if "${{" in step.get("run", "")] == []


@pytest.mark.parametrize("file", SHELL, ids=lambda file: file.name)
def test_shell_scripts_parse_and_stop_at_the_first_failure(file: Path) -> None:
    subprocess.run(["bash", "-n", str(file)], check=True)
    if file.suffix != ".sh":
        assert file.read_text().startswith("#!/usr/bin/env bash\n")
        assert "\nset -euo pipefail\n" in file.read_text()
        assert file.stat().st_mode & 0o111


def test_the_steps_in_python_are_typed() -> None:
    files = sorted(
        (ROOT / "scripts" / "delivery").glob("*.py")
    )  # modules of no package: `make check` does not find them
    command = [sys.executable, "-m", "mypy", "--config-file=", "--strict", "--python-version=3.11", *map(str, files)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_a_workflow_runs_is_there() -> None:
    called = set()
    for file in (*WORKFLOWS, *ACTIONS):
        for step in steps_of(file):
            called |= set(re.findall(r"scripts/[\w./-]+", step.get("run", "")))
    assert called
    assert [name for name in sorted(called) if not (ROOT / name).is_file()] == []


def test_what_goes_into_an_image_starts_a_delivery(steps: Steps) -> None:
    patterns = loaded(GITHUB / "workflows/deliver.yaml")["on"]["push"]["paths"]
    wanted = [pattern.replace("**", "*") for pattern in patterns if not pattern.startswith("!")]
    for name in ("operator", "trainer", "server", "mlflow"):
        for path in steps.ok("tag", "--inputs", name).said.split():
            assert any(fnmatch(f"{path}/x" if (ROOT / path).is_dir() else path, each) for each in wanted), path


def test_the_tag_hashes_what_the_local_cluster_hashes(steps: Steps) -> None:
    for name in ("operator", "trainer", "server", "mlflow"):
        ours, theirs = set(steps.ok("tag", "--inputs", name).said.split()), images.IMAGES[name]
        here = {file for path in ours - {".dockerignore"} for file in under(ROOT / path)}
        there = {file for path in (theirs.dockerfile, *theirs.inputs) for file in under(ROOT / path)}
        assert here <= there, name
        # devcluster takes whole folders where the Dockerfile takes a part: the rest can't change the image.
        assert {file.suffix for file in there - here} <= {".yaml", ".md", ".sh"}, name


def under(place: Path) -> set[Path]:
    return {file for file in place.rglob("*") if file.is_file() and "__pycache__" not in file.parts} or {place}


def test_ci_runs_every_folder_that_make_test_runs() -> None:
    commands = [step.get("run", "") for step in steps_of(GITHUB / "workflows/ci.yaml")]
    for folders in ("--ignore=tests/e2e", "tests/e2e"):
        assert f'sudo --preserve-env env "PATH=$PATH" .venv/bin/python -m pytest {folders}' in commands
    assert (
        "tests/e2e"
        in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["testpaths"]
    )


def test_the_deployment_that_is_delivered_asks_for_nothing_that_the_workflow_does_not_give(steps: Steps) -> None:
    found = loaded(GITHUB / "workflows/deliver.yaml")
    [step] = [
        each for each in steps_of(GITHUB / "workflows/deliver.yaml") if each.get("run") == "scripts/delivery/operator"
    ]
    given = dict.fromkeys({*found["env"], *step["env"]}, "given")
    kustomize = [steps.programs / "kubectl", "kustomize", str(ROOT / "deploy/overlays/gke")]
    overlay = subprocess.run(kustomize, capture_output=True, text=True, check=True).stdout
    rendered = steps("render.py", "Deployment/mlops-operator", stdin=overlay, **given)
    assert rendered.code == 0, rendered.said
    assert "image: given" in rendered.said


def test_each_job_that_logs_in_may_do_so_and_no_other() -> None:
    for name, job in loaded(GITHUB / "workflows/deliver.yaml")["jobs"].items():
        logs_in = any(step.get("uses") == "./.github/actions/google" for step in job["steps"])
        assert (job["permissions"].get("id-token") == "write") == logs_in, name


def test_the_waits_end_before_their_login_does() -> None:
    text = (GITHUB / "workflows/deliver.yaml").read_text()
    waits = [int(seconds) for seconds in re.findall(r"--seconds=(\d+)", text)]
    assert len(waits) == 4
    assert max(waits) <= 3000  # of the 3,600 that a login lasts


def test_actionlint_is_content() -> None:
    actionlint = programs.ensure(["actionlint"], Reporter())["actionlint"]
    done = subprocess.run(
        [actionlint, "-no-color", *map(str, WORKFLOWS)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_zizmor_is_content_at_its_strictest() -> None:
    command = [
        Path(sys.executable).parent / "zizmor",
        "--offline",
        "--quiet",
        "--persona=pedantic",
        "--no-progress",
        str(GITHUB),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
