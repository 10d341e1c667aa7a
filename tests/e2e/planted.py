"""Models that were never trained, put into the bucket as if they had been: what a gate has to tell apart."""

import json
import tempfile
from pathlib import Path

import torch

from catsdogs import model as models
from tests.e2e.store import Store


def plant(store: Store, version: str, name: str, kind: str) -> dict[str, str]:
    """Publish a variant of the model of `version` as models/cats-dogs/NAME/; returns modelFrom's uri and sha256.

    `kind`: `equal` has the same weights, `inverted` takes cats for dogs, `one-class` sees cats alone.
    """
    prefix = f"models/cats-dogs/{version}/"
    described = json.loads(store.read(f"{prefix}model.json"))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "model.pt")
        file.write_bytes(store.read(f"{prefix}model.pt"))
        module, metadata = models.load(file, described["sha256"])
        with torch.no_grad():
            if kind == "inverted":
                module.head.weight.neg_()
                module.head.bias.neg_()
            elif kind == "one-class":
                module.head.bias.copy_(torch.tensor([1000.0, 0.0]))
            else:
                module.head.bias.add_(1e-6)  # another digest, the same answers
        sha256 = models.save(file, module, metadata)
        store.write(f"models/cats-dogs/{name}/model.pt", file.read_bytes())
    store.write(
        f"models/cats-dogs/{name}/model.json", json.dumps({**described, "sha256": sha256, "version": name}).encode()
    )
    return {"uri": f"gs://{store.bucket}/models/cats-dogs/{name}/model.pt", "sha256": sha256}
