"""The two models that are judged, loaded by the code that serves them, with what they were trained on.
It must not unpickle a file before its SHA-256 is the one that was named."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catsdogs.errors import Exit, StageError
from catsdogs.gate.settings import ModelFile
from catsdogs.pipeline import bucket as store

if TYPE_CHECKING:
    from catsdogs.server.predictor import Predictor


class ModelError(ValueError):
    """A model file that can't be served; the message is one line that names it."""


@dataclass(frozen=True)
class Model:
    """A verified model; `version` and `data_version` are "" when the model.json beside it does not tell them."""

    file: ModelFile
    predictor: Predictor
    version: str
    data_version: str

    @property
    def name(self) -> str:
        """What a person calls it: its version, or the first digits of its digest."""
        return self.version or self.file.sha256[:12]


def load(bucket: Any, file: ModelFile) -> Model:
    """Fetch and verify a model. Raises ModelError if it can't be served, StageError 66 if it is not there."""
    data = store.download_if_there(bucket, file.address.path)
    if data is None:
        raise StageError(Exit.BUCKET_NOT_FOUND, f"{file.address} is not there", "name a model that is, or publish it")
    described = _description(bucket, file)
    return Model(
        file,
        _predictor(data, file),
        str(described.get("version", ""))[:63],
        str(_lineage(described).get("dataVersion", "")),
    )


def _predictor(data: bytes, file: ModelFile) -> Predictor:
    from catsdogs.model import ModelFileError
    from catsdogs.server import predictor

    with tempfile.TemporaryDirectory(prefix="model-") as folder:
        path = Path(folder, "model.pt")
        path.write_bytes(data)
        try:
            return predictor.load(path, file.sha256)
        except ModelFileError as error:
            raise ModelError(str(error).replace(str(path), str(file.address))) from None


def _description(bucket: Any, file: ModelFile) -> dict[str, Any]:
    """The model.json beside the file; {} when there is none, or it is of another file, whose lineage would be a lie."""
    beside = file.address.path.rpartition("/")[0] + "/model.json"
    try:
        content = json.loads(store.download_if_there(bucket, beside) or b"{}")
    except ValueError:
        return {}
    return content if isinstance(content, dict) and content.get("sha256") == file.sha256 else {}


def _lineage(described: dict[str, Any]) -> dict[str, Any]:
    lineage = described.get("lineage")
    return lineage if isinstance(lineage, dict) else {}
