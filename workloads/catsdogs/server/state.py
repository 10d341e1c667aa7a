"""What the whole process knows about itself: the served model, or why there is none, and whether it is
draining. It must not do any work; other modules set it and the two HTTP ports report it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from catsdogs.server.predictor import Predictor


@dataclass(frozen=True)
class Served:
    """A verified model; `description` is its model.json, {} when unknown."""

    predictor: Predictor
    uri: str
    version: str
    sha256: str
    training_run: str
    description: dict[str, Any] = field(default_factory=dict)


class State:
    """Read from two event loops and written from a thread: each attribute is replaced whole."""

    def __init__(self) -> None:
        self.served: Served | None = None
        self.status = "loading"
        self.reason = "the model is being loaded"
        self.draining = False

    def serve(self, served: Served) -> None:
        self.served = served
        self.status, self.reason = "healthy", ""

    def wait(self, reason: str) -> None:
        self.status, self.reason = "waiting", reason

    def fail(self, reason: str) -> None:
        self.status, self.reason = "failed", reason

    def health(self) -> tuple[int, dict[str, Any]]:
        """(HTTP status, body) of /health: 200 only while a verified model takes new requests."""
        if self.draining:
            reason = "the server is shutting down"
            return 503, {"status": "draining", "model_loaded": False, "reason": reason}
        served = self.served
        if served is None:
            return 503, {"status": self.status, "model_loaded": False, "reason": self.reason}
        return 200, {
            "status": "healthy",
            "model_loaded": True,
            "version": served.version,
            "sha256": served.sha256,
        }

    def lineage(self) -> dict[str, Any]:
        """The body of /model; only while a model is served."""
        served = self.served
        if served is None:
            raise RuntimeError("lineage of no model")
        told = served.description
        return {
            "version": served.version,
            "sha256": served.sha256,
            "uri": served.uri,
            "trainingRun": served.training_run,
            "architecture": served.predictor.architecture,
            "imageSize": served.predictor.image_size,
            "classes": list(served.predictor.classes),
            "metrics": told.get("metrics", {}),
            "stoppedBy": told.get("stoppedBy", ""),
            "createdAt": told.get("createdAt", ""),
            "lineage": told.get("lineage", {}),
        }
