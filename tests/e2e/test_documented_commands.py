"""The commands of the manuals that need a cluster are run on one, as a reader types them.

Names of the manuals' resources stand for those of the tests here; what would change the system is tried with
`--dry-run=server`: the API server does all but store it.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from demo.deploy import variable
from demo.kubectl import Kubectl
from tests.contract.documented import ROOT, commands
from tests.contract.documented_rules import Cluster, rule_of
from tests.e2e.kube import NAMESPACE, RUN, Kube, eventually, model_server

SERVER = "e2e-read"
COMMANDS = sorted({each.text for each in commands() if (found := rule_of(each)) and isinstance(found[2], Cluster)})
CHANGES = ("apply", "annotate", "create", "delete", "label", "patch", "rollout restart", "scale", "set")
NAMES = {
    "cats-dogs-demo": RUN, "cats-dogs-suspended": RUN, "cats-dogs-gpu": RUN, "trun NAME": f"trun {RUN}",
    "trun/NAME": f"trun/{RUN}", "=RUN": f"={RUN}", "=SHA256": "=" + "a" * 64, "msrv/NAME": f"msrv/{SERVER}",
    "namespace NAME": f"namespace {NAMESPACE}",
    "msrv NAME": f"msrv {SERVER}", "cats-dogs-newest": SERVER, "cats-dogs-pinned": SERVER, '"N"': '"1"',
}  # fmt: skip
API = re.compile(r"(?<!=)\bcats-dogs-api\b")  # a label's value has another meaning


@dataclass(frozen=True)
class Shell:
    """Where a reader is: a folder, a kubeconfig that names the namespace, the programs, the server's address."""

    folder: Path
    environment: dict[str, str]
    url: str

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        both = 'ended=("${PIPESTATUS[@]}"); exit $((ended[0] + ended[-1]))'  # a grep in between may find nothing
        words = ["bash", "-c", f"{command}\n{both}"]
        return subprocess.run(
            words, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False, timeout=120
        )


@pytest.fixture(scope="module")
def shell(
    kube: Kube, kubectl: Kubectl, images: dict[str, str], trained: dict, drawings: Path, mlflow: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Shell]:  # fmt: skip
    """The checkout with a picture beside it, a finished run and a served model."""
    let_in = {"gate": {"policy": "None"}, "smoke": {"policy": "None"}, "resources": {"cpu": "100m"}}
    kube.apply(model_server(SERVER, RUN, watch={"windowSeconds": 0}, **let_in))
    kube.run("label", "trun", RUN, "sweep=learning-rate", "--overwrite")
    kube.run("apply", f"--filename={ROOT / 'examples/06-scheduled.yaml'}")
    folder = tmp_path_factory.mktemp("reader")
    for name in ("crds", "deploy", "examples", "devcluster", "demo", "workloads", "operator"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "cat.jpg").write_bytes(next((drawings / "Cat").glob("*.jpg")).read_bytes())
    (folder / "keys").write_text("a-key-of-sixteen-characters\n")
    config = folder / "kubeconfig"
    config.write_text(kubectl.run("config", "view", "--raw", "--minify", "--flatten"))
    environment = {
        **os.environ,
        "KUBECONFIG": str(config),
        "PATH": os.pathsep.join((str(kubectl.program.parent), str(Path(sys.executable).parent), os.environ["PATH"])),
        "MLFLOW_PUBLIC_URL": mlflow,
        **{variable(name): reference for name, reference in images.items()},
    }
    kube.wait(f"msrv/{SERVER}", "condition=Settled", 300)
    made = Shell(folder, environment, kube.get(f"msrv/{SERVER}")["status"]["url"])
    assert made.run(f"kubectl config set-context --current --namespace={NAMESPACE}").returncode == 0
    # Of pods that ended there is never a figure, and of this one after two looks of the metrics server.
    eventually("the pod's use is measured", lambda: f"{SERVER}-" in made.run("kubectl top pods").stdout, 120)
    yield made
    kube.run("delete", "msrv", SERVER)
    kube.run("delete", f"--filename={ROOT / 'examples/06-scheduled.yaml'}")


def adapted(command: str, url: str) -> str:
    """The command with the tests' names, and harmless."""
    for name, ours in NAMES.items():
        command = command.replace(name, ours)
    command = API.sub(SERVER, command)
    command = command.replace("http://10.199.0.102/", url)
    *before, last = command.split(" | ")
    if any(f" {change} " in f" {last} " for change in CHANGES) and last.startswith("kubectl"):
        last += " --dry-run=server"
    if "apply --server-side" in last:
        last += " --force-conflicts"  # here the demo owns these fields, on a reader's cluster nobody does
    return " | ".join((*before, last))


@pytest.mark.parametrize("command", COMMANDS)
def test_works(shell: Shell, command: str) -> None:
    here = adapted(command, shell.url)
    done = shell.run(here)
    assert done.returncode == 0, f"{here}\n{done.stdout}\n{done.stderr}"
    if command.startswith("curl"):
        assert json.loads(done.stdout)["label"] in ("cat", "dog")


def test_a_wrong_command_would_be_found(shell: Shell) -> None:
    assert shell.run(adapted("kubectl get trun/cats-dogs-demoo", shell.url)).returncode != 0
