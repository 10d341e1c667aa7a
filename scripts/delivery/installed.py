"""Compares the kinds that the cluster knows with crds/ of this commit: an administrator changes them, no delivery does.

It reads only; what differs ends the step with the command that mends it.
"""

import json
from pathlib import Path
from typing import Any

from actions import DeliveryError, run
from kube import kubectl

CRDS = Path(__file__).parents[2] / "crds"


def check() -> None:
    """Raise DeliveryError naming the kinds whose schema is not this commit's."""
    others = []
    for file in sorted(CRDS.glob("*.mlops.cats-dogs.io.yaml")):
        wanted = json.loads(
            kubectl(f"Reading {file.name}", "create", "--dry-run=client", "--validate=false", "-o=json", f"-f={file}")
        )
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


def schemas(crd: dict[str, Any]) -> dict[str, Any]:
    """What a version of the kind lets in, by version."""
    return {version["name"]: version["schema"]["openAPIV3Schema"] for version in crd["spec"]["versions"]}


if __name__ == "__main__":
    run(check)
