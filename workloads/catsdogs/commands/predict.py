"""`catsdogs predict`: ask a model about pictures on this machine.
It must not load a model whose SHA-256 is not the one that training wrote down."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from catsdogs.commands.table import table
from catsdogs.errors import Exit, config_error, data_error
from catsdogs.pipeline.workspace import MODEL_JSON, TRAINING, read_json


def predict(options: argparse.Namespace) -> int:
    """One line per file: label, confidence, name. Exit 65 when one of them is no picture."""
    import torch

    from catsdogs import images
    from catsdogs import model as models

    try:
        module, metadata = models.load(options.model, options.sha256 or expected_sha256(options.model))
    except models.ModelFileError as error:
        raise data_error(str(error), "get the file again, or give the right --sha256") from None
    code = Exit.OK
    rows: list[list[str]] = []
    for file in options.files:
        try:
            pixels = images.decode(file.read_bytes(), metadata["imageSize"])
        except (OSError, images.BadImage) as error:
            print(f"{file}: {error}", file=sys.stderr)
            code = Exit.DATA_ERROR
            continue
        with torch.inference_mode():
            logits = module(models.normalize(pixels.unsqueeze(0)))
        shares = models.probabilities(logits, metadata["temperature"])[0]
        best = int(shares.argmax())
        rows.append([metadata["classes"][best], f"{float(shares[best]):.3f}", str(file)])
    if rows:
        print(table(rows))
    return code


def expected_sha256(model: Path) -> str:
    """The digest that the file beside `model` names: training.json of a workspace, or model.json of a version."""
    for name in (TRAINING.name, MODEL_JSON.name):
        beside = model.with_name(name)
        if model.is_file() and beside.is_file():
            content: dict[str, Any] = read_json(beside)
            return str(content["sha256"])
    raise config_error(
        f"{model}: no model there, or neither {TRAINING.name} nor {MODEL_JSON.name} beside it",
        "train one with catsdogs run, or give --model and --sha256",
    )
