"""`catsdogs run` and the stages by name: the pipeline in a workspace on this machine, through DVC.
It must not compute anything itself, nor talk to a bucket."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
from pathlib import Path
from typing import Any

from catsdogs import key
from catsdogs.commands.bar import Bar
from catsdogs.commands.table import table
from catsdogs.errors import Exit, StageError, config_error
from catsdogs.pipeline import dvc, progress, summaries
from catsdogs.pipeline.__main__ import PID
from catsdogs.pipeline.stopper import Stopper
from catsdogs.pipeline.workspace import (
    EDA,
    EVALUATION,
    MODEL,
    PARAMS,
    STATE,
    outcome,
    read_parameters,
    write_json,
    write_parameters,
)

RAW = "raw"
SOURCE = STATE / "source.json"  # so that --raw need be given once
# What DVC says of its own work; how a stage failed is said by the stage, or at the end.
CHATTER = re.compile(r"(Running stage|> |Stage '|(Updating|Generating) lock|Use `dvc|To (track|enable)|ERROR: |$)")


def run(options: argparse.Namespace) -> int:
    """The stages up to the one named; then a table of what came out. Returns the failed stage's exit code."""
    out = options.out.absolute()
    source = prepare(out, options.copy_from, options.set)
    if photographs := options.raw or progress.read(source / SOURCE).get("raw"):
        os.environ["CATSDOGS_RAW"] = str(Path(photographs).absolute())
        write_json(out / SOURCE, {"raw": os.environ["CATSDOGS_RAW"]})
    os.environ.pop("CATSDOGS_BUCKET", None)  # a bucket is for the pod; here the photographs are in a folder
    stages = key.STAGES if options.command == "run" else key.STAGES[: key.STAGES.index(options.command) + 1]
    for stage in (RAW, *stages):
        (out / outcome(stage)).unlink(missing_ok=True)
    (out / PID).unlink(missing_ok=True)
    stopper = Stopper(out / PID)
    with Bar(out / progress.FILE) as bar:
        ended = dvc.reproduce(
            out,
            [RAW, *stages],
            pull=False,
            started=stopper.watch,
            said=lambda line: None if CHATTER.match(line) else bar.say(line),
        )
    if ended.code:
        return _failed(out, stages, ended, stopper.stopped)
    print(report(out, stages))
    return Exit.OK


def prepare(out: Path, copy_from: Path | None, pairs: list[str]) -> Path:
    """Make `out` a workspace with the parameters `pairs`; the others, and what is computed, from itself or `copy_from`.

    Returns the workspace that it goes on from.
    """
    out.mkdir(parents=True, exist_ok=True)
    source = out
    if copy_from is not None:
        source = copy_from.absolute()
        if not (source / PARAMS).exists():
            raise config_error(f"--from {copy_from}: no workspace there", "name a folder that catsdogs run has made")
        dvc.adopt(out, source)
    given = read_parameters(source / PARAMS) if (source / PARAMS).exists() else {}
    parameters = checked({**given, **dict(pair(text) for text in pairs)})
    dvc.create(out, parameters)
    if pairs or copy_from:
        write_parameters(parameters, out / PARAMS)  # dvc.create leaves a checkout's own params.yaml alone
    return source


def _failed(out: Path, stages: tuple[str, ...], ended: dvc.Ended, stopped: bool) -> int:
    """The exit code of a run that failed; the stage itself has said why, if it could."""
    for stage in (RAW, *stages):
        if (said := progress.read(out / outcome(stage))).get("ok") is False:
            return int(said["exitCode"])
    if stopped:
        raise StageError(Exit.TERMINATED, "stopped", "run again: what is done is kept")
    raise dvc.failure(ended.error, "the run failed")


def report(out: Path, stages: tuple[str, ...]) -> str:
    """What each stage made, and where to look at it."""
    rows = [["stage", "time", "result"]]
    for stage in stages:
        seconds = progress.read(out / outcome(stage)).get("seconds")
        facts = ", ".join(f"{name} {value}" for name, value in summaries.of(stage, out).items())
        rows.append([stage, "reused" if seconds is None else f"{seconds:.1f} s", facts])
    shown = {"eda": ("look at the data", EDA / "report.html")}
    shown |= {"train": ("model", MODEL), "evaluate": ("measured", EVALUATION)}
    places = [[name, str(shorter(out / path))] for stage, (name, path) in shown.items() if stage in stages]
    return table(rows, right=frozenset({1})) + ("\n\n" + table(places) if places else "")


def shorter(path: Path) -> Path:
    """`path` from the current folder, where it lies below it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def pair(text: str) -> tuple[str, str | int]:
    """NAME=VALUE as a parameter and its value. Raises StageError (78) when it is no pair."""
    name, equals, value = text.partition("=")
    if not equals:
        raise config_error(f"--set {text}: not NAME=VALUE", "as in --set epochs=40")
    if any(p.name == name and p.minimum is not None for p in key.PARAMETERS):
        with contextlib.suppress(ValueError):
            return name, int(value)
    return name, value


def checked(given: dict[str, Any]) -> dict[str, Any]:
    """All parameters, checked. Raises StageError (78) naming the wrong one."""
    try:
        return key.checked_parameters(given)
    except key.ParameterError as error:
        raise config_error(str(error), "catsdogs run --help lists the parameters and their ranges") from None


def parameters_help() -> str:
    """The parameters with their ranges and defaults, for --help."""
    rows = []
    for p in key.PARAMETERS:
        allowed = (
            " or ".join(p.enum) if p.enum else f"{p.minimum} to {p.maximum}" if p.minimum is not None else "decimal"
        )
        rows.append([f"  {p.name}", allowed, f"default {p.default}"])
    return "parameters:\n" + table(rows)
