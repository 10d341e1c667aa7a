"""One loaded network and the way from a picture's bytes to its answer. It must not know about HTTP, and
its `predict` must be safe to call from several threads at once."""

from __future__ import annotations

import io
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from catsdogs import images, key, model
from catsdogs.server import inference

WARM_UP_PASSES = 3


@dataclass(frozen=True)
class Prediction:
    """Probabilities by class (they sum to 1) and the seconds that decoding and the network took."""

    probabilities: dict[str, float]
    decode_seconds: float
    forward_seconds: float

    @property
    def label(self) -> str:
        return max(self.probabilities, key=lambda name: self.probabilities[name])

    @property
    def confidence(self) -> float:
        return self.probabilities[self.label]


class Predictor:
    """A network in eval mode with its input size, classes and calibration temperature."""

    def __init__(self, module: torch.nn.Module, metadata: dict[str, Any]) -> None:
        self.module = module
        self.architecture = str(metadata["architecture"])
        self.image_size = int(metadata["imageSize"])
        self.classes = tuple(metadata["classes"])
        self.temperature = float(metadata.get("temperature", 1.0))
        if self.classes != key.CLASSES:
            raise model.ModelFileError(f"the model's classes are {self.classes}, not {key.CLASSES}")
        if not 8 <= self.image_size <= 1024 or not self.temperature > 0:
            raise model.ModelFileError(f"imageSize {self.image_size} or temperature {self.temperature}")
        self.network = inference.fast(module, self.image_size)

    def predict(self, picture: bytes) -> Prediction:
        """The answer for one JPEG or PNG. Raises images.BadImage."""
        begin = time.perf_counter()
        pixels = images.decode(picture, self.image_size)
        decoded = time.perf_counter()
        row = self.forward(pixels.unsqueeze(0))[0].tolist()
        end = time.perf_counter()
        return Prediction(dict(zip(self.classes, row, strict=True)), decoded - begin, end - decoded)

    def predict_pixels(self, pixels: np.ndarray[Any, Any]) -> Prediction:
        """The answer for uint8 RGB (H, W, 3), the same as for a PNG of these pixels."""
        begin = time.perf_counter()
        square = images.from_pixels(pixels, self.image_size)
        resized = time.perf_counter()
        row = self.forward(square.unsqueeze(0))[0].tolist()
        end = time.perf_counter()
        return Prediction(dict(zip(self.classes, row, strict=True)), resized - begin, end - resized)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """uint8 (1, 3, S, S) to probabilities (1, 2)."""
        with torch.inference_mode():
            logits = self.network(model.normalize(batch))
            return model.probabilities(logits, self.temperature)

    def warm_up(self) -> None:
        """Let the first request not pay for the set-up. Raises ModelFileError for an answer that is none."""
        gray = io.BytesIO()
        Image.new("RGB", (320, 240), (128, 128, 128)).save(gray, "JPEG")
        for _ in range(WARM_UP_PASSES):
            answer = self.predict(gray.getvalue()).probabilities
        if not all(0 <= share <= 1 for share in answer.values()):
            raise model.ModelFileError(f"the network answers a gray picture with {answer}")


def load(path: Path, sha256: str) -> Predictor:
    """The verified, warmed-up model. Raises model.ModelFileError for every file that may not be served."""
    torch.set_num_threads(1)
    try:
        module, metadata = model.load(path, sha256)
        predictor = Predictor(module, metadata)
        predictor.warm_up()
    except (model.ModelFileError, OSError):
        raise
    except Exception as error:
        # torch.load and load_state_dict raise UnpicklingError, RuntimeError, KeyError, EOFError...
        detail = str(error).strip().splitlines() or [type(error).__name__]
        raise model.ModelFileError(f"{path}: not a model that can be served: {detail[0][:300]}") from error
    return predictor


def one_thread() -> None:
    """For each worker thread: OpenMP keeps the number of threads per calling thread."""
    torch.set_num_threads(1)
