"""A plain FastAPI server, as its documentation shows uploads: UploadFile, a blocking function in FastAPI's threads,
PIL, floats in NCHW, torch's default threads. It must not be tuned."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
import uvicorn
from fastapi import FastAPI, UploadFile
from PIL import Image

from catsdogs import model

path = Path(os.environ["MODEL"])
network, metadata = model.load(path, hashlib.sha256(path.read_bytes()).hexdigest())
network = network.to(memory_format=torch.contiguous_format)
side = metadata["imageSize"]
mean = torch.tensor(model.MEAN).view(3, 1, 1)
deviation = torch.tensor(model.DEVIATION).view(3, 1, 1)
app = FastAPI()


@app.post("/predict")
def predict(file: UploadFile) -> dict[str, Any]:
    image = Image.open(file.file).convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
    batch = ((pixels - mean) / deviation).unsqueeze(0).contiguous()
    with torch.no_grad():
        row = torch.softmax(network(batch) / metadata["temperature"], dim=1)[0]
    best = int(row.argmax())
    return {
        "label": metadata["classes"][best],
        "confidence": float(row[best]),
        "probabilities": {name: float(share) for name, share in zip(metadata["classes"], row, strict=True)},
    }


@app.get("/health")
def health() -> dict[str, bool]:
    return {"model_loaded": True}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]))
