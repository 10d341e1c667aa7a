"""LitServe tuned by hand: our decoder and network in channels_last, one torch thread a worker, and the best of
workers, batch and timeout (WORKERS, BATCH, BATCH_SECONDS, FAST_QUEUE), which the benchmark tries beforehand."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import litserve
import starlette.formparsers
import torch

from catsdogs import images, model

BATCH = int(os.environ["BATCH"])
# Files above this size, 1 MB by default, are written to disk and read back.
starlette.formparsers.MultiPartParser.spool_max_size = 2**30


class Classifier(litserve.LitAPI):
    def setup(self, device: str) -> None:  # noqa: ARG002 - LitServe names it
        torch.set_num_threads(1)
        path = Path(os.environ["MODEL"])
        self.network, self.metadata = model.load(path, hashlib.sha256(path.read_bytes()).hexdigest())

    def decode_request(self, request) -> torch.Tensor:
        return images.decode(request["file"].file.read(), self.metadata["imageSize"])

    def batch(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        return torch.stack(inputs)

    def predict(self, pixels: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            logits = self.network(model.normalize(pixels if BATCH > 1 else pixels.unsqueeze(0)))
            rows = model.probabilities(logits, self.metadata["temperature"])
        return rows if BATCH > 1 else rows[0]

    def unbatch(self, output: torch.Tensor) -> list[torch.Tensor]:
        return list(output)

    def encode_response(self, row: torch.Tensor) -> dict[str, Any]:
        shares = dict(zip(self.metadata["classes"], row.tolist(), strict=True))
        label = max(shares, key=shares.__getitem__)
        return {"label": label, "confidence": shares[label], "probabilities": shares}


if __name__ == "__main__":
    api = Classifier(max_batch_size=BATCH, batch_timeout=float(os.environ["BATCH_SECONDS"]))
    server = litserve.LitServer(
        api,
        accelerator="cpu",
        workers_per_device=int(os.environ["WORKERS"]),
        fast_queue=os.environ["FAST_QUEUE"] == "1",
    )
    server.run(
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        num_api_servers=1,
        generate_client_file=False,
        log_level="warning",
        access_log=False,
    )
