"""Every failing call of kubectl becomes one line, with kubectl's own reason."""

import json
import re
from pathlib import Path

import pytest

from demo import kubectl as module
from demo.errors import DemoError
from demo.kubectl import Kubectl, condition, of
from devcluster.backend import Cluster


def program(place: Path, script: str) -> Kubectl:
    place.write_text(f"#!/bin/sh\n{script}\n")
    place.chmod(0o755)
    return Kubectl(place, Path("/state/kubeconfig"), "demo")


def test_the_words_that_kubectl_is_called_with(tmp_path: Path) -> None:
    kubectl = program(tmp_path / "kubectl", 'printf "%s\\n" "$@"')

    assert kubectl.run("get", "pods").splitlines() == [
        "--kubeconfig=/state/kubeconfig",
        "--context=demo",
        "get",
        "pods",
    ]
    assert kubectl.words() == "export KUBECONFIG=/state/kubeconfig"


def test_a_context_of_the_users_kubeconfig_is_found_as_kubectl_finds_it(tmp_path: Path) -> None:
    kubectl = of(Cluster(None, "mine", program(tmp_path / "kubectl", 'printf "%s\\n" "$@"').program))

    assert kubectl.run("get", "pods").splitlines() == ["--context=mine", "get", "pods"]
    assert kubectl.words() == "kubectl --context=mine"


def test_what_is_applied_is_one_list(tmp_path: Path) -> None:
    kubectl = program(tmp_path / "kubectl", f"cat > {tmp_path}/applied")

    kubectl.apply({"kind": "A"}, {"kind": "B"})

    assert json.loads((tmp_path / "applied").read_text()) == {
        "apiVersion": "v1",
        "kind": "List",
        "items": [{"kind": "A"}, {"kind": "B"}],
    }


def test_an_object_that_is_not_there_is_none(tmp_path: Path) -> None:
    assert program(tmp_path / "kubectl", "true").get("pods", "a", "b") is None


def test_a_failure_is_one_line(tmp_path: Path) -> None:
    kubectl = program(tmp_path / "kubectl", "echo warning >&2; echo 'Error from server (Forbidden): no' >&2; exit 1")

    with pytest.raises(DemoError) as caught:
        kubectl.run("get", "pods")

    assert str(caught.value) == "`kubectl get pods` failed: (Forbidden): no"


def test_a_cluster_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT_SECONDS", 0.1)

    with pytest.raises(DemoError, match=re.escape("`kubectl get pods` got no answer in 0.1 s")):
        program(tmp_path / "kubectl", "exec sleep 5").run("get", "pods")


def test_no_kubectl_at_all(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match=r"can't be run .*; install kubectl"):
        Kubectl(tmp_path / "nowhere", tmp_path / "kubeconfig", "demo").run("version")


def test_a_condition_of_an_older_generation_is_no_answer() -> None:
    old = {"type": "Ready", "status": "True", "observedGeneration": 1}
    resource = {"metadata": {"generation": 2}, "status": {"conditions": [old]}}

    assert condition(resource, "Ready") == {}
    assert condition({**resource, "metadata": {"generation": 1}}, "Ready") == old
    assert condition({}, "Ready") == {}
