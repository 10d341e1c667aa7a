"""Compares the cluster's kinds and the operator's rights with those of this commit: an administrator changes them, no
delivery does.

It reads only; what differs ends the step with the command that mends it.
"""

import json
from pathlib import Path
from typing import Any

from actions import DeliveryError, run
from kube import get, kubectl
from train import NAMESPACE

CHECKOUT = Path(__file__).parents[2]
CRDS, ROLE = CHECKOUT / "crds", CHECKOUT / "deploy" / "workloads" / "role.yaml"


def check() -> None:
    """Raise DeliveryError naming what is not this commit's."""
    kinds()
    rights()


def kinds() -> None:
    """The schema of each kind."""
    others = []
    for file in sorted(CRDS.glob("*.mlops.cats-dogs.io.yaml")):
        wanted = parsed(file)
        name = wanted["metadata"]["name"]
        live = json.loads(kubectl(f"Reading the kind {name}", "get", "crd", name, "-o=json"))
        if schemas(live) != schemas(wanted):
            others.append(name)
    if others:
        raise DeliveryError(
            "Kinds out of date",
            f"{', '.join(others)} in the cluster differ from crds/ of this commit: an administrator runs "
            "`kubectl apply --server-side -f crds/` (docs/upgrade.md), then run this again",
        )


def rights() -> None:
    """The rules of the operator's Role in the namespace: a new operator without a new right of its would be deaf."""
    wanted = parsed(ROLE)
    name = wanted["metadata"]["name"]
    live = get("roles.rbac.authorization.k8s.io", name, NAMESPACE)
    if live is None or live["rules"] != wanted["rules"]:
        raise DeliveryError(
            "Rights out of date",
            f"Role {NAMESPACE}/{name} in the cluster differs from deploy/workloads/role.yaml of this commit: an "
            "administrator installs this commit (docs/upgrade.md), then run this again",
        )


def parsed(file: Path) -> dict[str, Any]:
    """The first object of a file."""
    words = ("create", "--dry-run=client", "--validate=false", "-o=json", f"-f={file}")
    found: dict[str, Any] = json.JSONDecoder().raw_decode(kubectl(f"Reading {file.name}", *words))[0]
    return found


def schemas(crd: dict[str, Any]) -> dict[str, Any]:
    """What a version of the kind lets in, by version."""
    return {version["name"]: version["schema"]["openAPIV3Schema"] for version in crd["spec"]["versions"]}


if __name__ == "__main__":
    run(check)
