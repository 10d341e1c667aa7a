"""LitServe as its documentation shows it: one class of four methods, one worker, a multipart upload read through
PIL, no batching. It must not be tuned."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import litserve
import numpy as np
import torch
from PIL import Image

from catsdogs import model


class Classifier(litserve.LitAPI):
    def setup(self, device: str) -> None:
        path = Path(os.environ["MODEL"])
        network, self.metadata = model.load(path, hashlib.sha256(path.read_bytes()).hexdigest())
        self.network = network.to(device).to(memory_format=torch.contiguous_format)
        self.mean = torch.tensor(model.MEAN).view(3, 1, 1)
        self.deviation = torch.tensor(model.DEVIATION).view(3, 1, 1)

    def decode_request(self, request) -> torch.Tensor:
        side = self.metadata["imageSize"]
        image = Image.open(request["file"].file).convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
        return ((pixels - self.mean) / self.deviation).unsqueeze(0).contiguous()

    def predict(self, batch: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return torch.softmax(self.network(batch) / self.metadata["temperature"], dim=1)[0]

    def encode_response(self, row: torch.Tensor) -> dict[str, Any]:
        classes = self.metadata["classes"]
        best = int(row.argmax())
        return {
            "label": classes[best],
            "confidence": float(row[best]),
            "probabilities": {name: float(share) for name, share in zip(classes, row, strict=True)},
        }


if __name__ == "__main__":
    server = litserve.LitServer(Classifier(), accelerator="cpu")
    server.run(host="127.0.0.1", port=int(os.environ["PORT"]), generate_client_file=False)
