"""The command `catsdogs`: the pipeline on a laptop, one stage of it in the training pod, and predictions.
It must not import torch before a command needs it, and ends every foreseen failure in one line and a hint."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from pathlib import Path
from typing import Any

from catsdogs import key
from catsdogs.errors import Exit, StageError, config_error, data_error

EPILOG = """examples:
  catsdogs run --raw ~/photos --out run1          all stages, from Cat/ and Dog/ to run1/model/model.pt
  catsdogs run --raw ~/photos --out run1 --set epochs=40
  catsdogs predict --model run1/model/model.pt cat.jpg dog.jpg

Where a stage ran before with the same photographs, parameters and code, its result is reused."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="catsdogs",
        description="Train and try the classifier of cats and dogs.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in {"run": "all stages", **dict.fromkeys(key.STAGES, "the pipeline up to this stage")}.items():
        command = commands.add_parser(name, help=text)
        command.add_argument("--raw", type=Path, help="folder with Cat/ and Dog/ (default: data/raw of --out)")
        command.add_argument("--out", type=Path, default=Path(), help="workspace (default: this folder)")
        command.add_argument(
            "--set", action="append", default=[], metavar="NAME=VALUE", help="a training parameter, as epochs=40"
        )
    predict = commands.add_parser("predict", help="ask a model about pictures")
    predict.add_argument("--model", type=Path, default=Path("model/model.pt"), help="default: model/model.pt")
    predict.add_argument("--sha256", help="the SHA-256 it must have (default: training.json beside it says)")
    predict.add_argument("files", nargs="+", type=Path, metavar="FILE")
    stage = commands.add_parser("stage", help="one stage as the training pod runs it, told by CATSDOGS_ variables")
    stage.add_argument("name", choices=key.STAGES)
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    options = parser().parse_args(arguments)
    if options.command == "stage":
        from catsdogs.pipeline import stage

        return stage.main(options.name)
    try:
        if options.command == "predict":
            return predict(options)
        return run(options)
    except StageError as error:
        print(f"catsdogs: {error.message}\nhint: {error.hint}", file=sys.stderr)
        return error.code


def run(options: argparse.Namespace) -> int:
    """The stages up to the one named, in a workspace, through DVC; then a table of what came out."""
    from catsdogs.pipeline import dvc, progress, summaries
    from catsdogs.pipeline.__main__ import RESULT
    from catsdogs.pipeline.workspace import PARAMS, read_parameters

    out = options.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    given = read_parameters(out / PARAMS) if (out / PARAMS).exists() else {}
    parameters = _parameters({**given, **dict(_pair(text) for text in options.set)})
    dvc.create(out, parameters)
    if options.set and (out / PARAMS).exists():
        from catsdogs.pipeline.workspace import write_parameters

        write_parameters(parameters, out / PARAMS)
    if options.raw:
        os.environ["CATSDOGS_RAW"] = str(options.raw.absolute())
    os.environ.pop("CATSDOGS_BUCKET", None)  # a bucket is for the pod; here the photographs are in a folder
    stages = key.STAGES if options.command == "run" else key.STAGES[: key.STAGES.index(options.command) + 1]
    (out / RESULT).unlink(missing_ok=True)
    code = dvc.reproduce(out, ["raw", *stages], pull=False, started=lambda _: None)
    left: dict[str, Any] = progress.read(out / RESULT)
    if code:
        return int(left.get("exitCode", Exit.CRASH))
    for stage in stages:
        facts = ", ".join(f"{name} {value}" for name, value in summaries.of(stage, out).items())
        print(f"{stage:<10}  {facts}")
    return Exit.OK


def _pair(text: str) -> tuple[str, str | int]:
    name, equals, value = text.partition("=")
    if not equals:
        raise config_error(f"--set {text}: not NAME=VALUE", "as in --set epochs=40")
    integer = any(p.name == name and p.minimum is not None for p in key.PARAMETERS)
    with contextlib.suppress(ValueError):
        return name, int(value) if integer else value
    return name, value


def _parameters(given: dict[str, Any]) -> dict[str, Any]:
    try:
        return key.checked_parameters(given)
    except key.ParameterError as error:
        raise config_error(str(error), "see --help for the form, and key.PARAMETERS for the ranges") from None


def predict(options: argparse.Namespace) -> int:
    """One line per file: label, confidence, name. Exit 65 when one of them is no picture."""
    import torch

    from catsdogs import images
    from catsdogs import model as models
    from catsdogs.pipeline.workspace import TRAINING, read_json

    beside = options.model.with_name(TRAINING.name)
    if not options.model.is_file() or not (options.sha256 or beside.is_file()):
        raise config_error(f"{options.model}: no model there", "train one with catsdogs run, or give --model")
    try:
        module, metadata = models.load(options.model, options.sha256 or read_json(beside)["sha256"])
    except models.ModelFileError as error:
        raise data_error(str(error), "get the file again, or give the right --sha256") from None
    code = Exit.OK
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
        print(f"{metadata['classes'][best]}  {float(shares[best]):.3f}  {file}")
    return code
