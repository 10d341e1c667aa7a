"""deploy/mlflow as an overlay makes it: components added, placeholders filled in."""

from pathlib import Path
from string import Template
from typing import Any

import yaml

from tests.integration.world import ROOT, Kubectl

MLFLOW = ROOT / "deploy" / "mlflow"
VALUES = {
    "BUCKET": "photos",
    "MLFLOW_IMAGE": "localhost:5000/cats-dogs/mlflow@sha256:" + "1" * 64,
    "MLFLOW_HOST": "mlflow.example.com",
    "IAP_CLIENT_ID": "1-a.apps.googleusercontent.com",
}


def rendered(kubectl: Kubectl, components: tuple[str, ...], folder: Path) -> list[dict[str, Any]]:
    """The resources of deploy/mlflow with some of its components; `folder` takes the overlay."""
    relative = Path(*[".."] * len(folder.parts[1:]), *MLFLOW.parts[1:])
    overlay = {"resources": [str(relative)], "components": [str(relative / name) for name in components]}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    return list(yaml.safe_load_all(Template(kubectl("kustomize", str(folder))).substitute(VALUES)))
