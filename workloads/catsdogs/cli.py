"""The command line `catsdogs`: parses, hands on to one command, and ends every foreseen failure in one line and a
hint. It must not import torch before a command needs it."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from pathlib import Path
from typing import TypeAlias

from catsdogs import key
from catsdogs.errors import Exit, StageError

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

EPILOG = """examples:
  catsdogs run --raw ~/photos --out run1                   all stages, from Cat/ and Dog/ to run1/model/model.pt
  catsdogs run --from run1 --out run2 --set epochs=40      the same again but for a parameter; reuses the data
  catsdogs compare run1 run2                               both side by side
  catsdogs predict --model run2/model/model.pt cat.jpg     ask the model

Where a stage ran before in a workspace with the same photographs, parameters and code, its result is reused.
The tutorial is docs/tutorial.md."""
STAGE_HELP = {
    "ingest": "check the photographs, set bad ones aside, split and pack the others",
    "preprocess": "and decode them into arrays",
    "eda": "and draw the page that shows the data",
    "train": "and train",
    "evaluate": "and measure on the test split (the same as run)",
}
# Command: the module of catsdogs.commands that does it, and the function in it.
COMMANDS = {
    "run": ("run", "run"),
    **dict.fromkeys(key.STAGES, ("run", "run")),
    "predict": ("predict", "predict"),
    "compare": ("compare", "compare"),
    "restore": ("restore", "restore"),
    "evalset": ("evalset", "evalset"),
    "versions": ("gc", "versions"),
    "pin": ("gc", "pin"),
    "unpin": ("gc", "pin"),
    "gc": ("gc", "gc"),
}


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    options = parser().parse_args(arguments)
    if options.command == "stage":
        from catsdogs.pipeline import stage

        return stage.main(options.name)
    module, function = COMMANDS[options.command]
    try:
        return int(getattr(importlib.import_module(f"catsdogs.commands.{module}"), function)(options))
    except StageError as error:
        print(f"catsdogs: {error.message}\nhint: {error.hint}", file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        print("catsdogs: stopped", file=sys.stderr)
        return Exit.TERMINATED


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="catsdogs",
        description="Train and try the classifier of cats and dogs.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_stages(commands)
    _add_predict(commands)
    _add_compare(commands)
    _add_bucket_commands(commands)
    _add_gc(commands)
    stage = commands.add_parser("stage", help="one stage as the training pod runs it, told by CATSDOGS_ variables")
    stage.add_argument("name", choices=key.STAGES)
    return top


def _add_stages(commands: Commands) -> None:
    from catsdogs.commands.run import parameters_help

    for name, text in {"run": "all stages", **STAGE_HELP}.items():
        command = commands.add_parser(
            name, help=text, epilog=parameters_help(), formatter_class=argparse.RawDescriptionHelpFormatter
        )
        command.add_argument(
            "--raw", type=Path, metavar="FOLDER", help="photographs, in Cat/ and Dog/ (default: those of last time)"
        )
        command.add_argument("--out", type=Path, default=Path(), metavar="FOLDER", help="workspace (default: here)")
        command.add_argument(
            "--from", dest="copy_from", type=Path, metavar="FOLDER", help="begin with a copy of this workspace"
        )
        command.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="change a parameter")


def _add_predict(commands: Commands) -> None:
    predict = commands.add_parser("predict", help="ask a model about pictures")
    predict.add_argument("--model", type=Path, default=Path("model/model.pt"), help="default: model/model.pt")
    predict.add_argument("--sha256", help="the SHA-256 it must have (default: the file beside it says)")
    predict.add_argument("files", nargs="+", type=Path, metavar="FILE")


def _add_compare(commands: Commands) -> None:
    compare = commands.add_parser("compare", help="two runs side by side: metrics, parameters, lineage, curves")
    _add_bucket(compare, needed=False)
    compare.add_argument("versions", nargs=2, metavar="VERSION", help="a version in --bucket, or a workspace folder")


def _add_bucket(command: argparse.ArgumentParser, needed: bool = True) -> None:
    given = os.environ.get("CATSDOGS_BUCKET", "")
    command.add_argument(
        "--bucket",
        required=needed and not given,
        default=given,
        type=lambda text: text.removeprefix("gs://").rstrip("/"),
        help="its name, with or without gs:// (default: $CATSDOGS_BUCKET)",
    )


def _add_bucket_commands(commands: Commands) -> None:
    def add(name: str, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text)
        _add_bucket(command)
        return command

    add("versions", "list the published versions")
    restore = add("restore", "fetch a version's data and model, byte for byte")
    restore.add_argument("version", metavar="VERSION")
    restore.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="a new folder")
    evalset = add("evalset", "freeze the test split of a version's data for the gate, and print its digest")
    evalset.add_argument("version", metavar="VERSION", nargs="?")
    evalset.add_argument("--list", action="store_true", help="list the frozen sets")
    pin = add("pin", "keep a version, whatever gc is told")
    pin.add_argument("version", metavar="VERSION")
    pin.add_argument("--reason", default="by hand", help="shown by versions and gc")
    add("unpin", "take the pin away").add_argument("version", metavar="VERSION")


def _add_gc(commands: Commands) -> None:
    from catsdogs.commands.gc import count, duration

    gc = commands.add_parser("gc", help="remove versions, data, checkpoints and cache that nobody needs")
    _add_bucket(gc)
    gc.add_argument("--keep", type=count, default=5, metavar="N", help="keep the newest N versions (default: 5)")
    gc.add_argument("--keep-version", action="append", default=[], metavar="VERSION", help="and this one")
    gc.add_argument("--served", action="append", default=[], metavar="FILE", help="kubectl get msrv -A -o json, or -")
    gc.add_argument("--nothing-served", action="store_true", help="no ModelServer serves from this bucket")
    gc.add_argument(
        "--older-than",
        type=duration,
        default="1d",
        metavar="TIME",
        help="spare what changed in the last TIME (default: 1d)",
    )
    how = gc.add_mutually_exclusive_group()
    how.add_argument("--dry-run", action="store_true", help="only say what would go (the default)")
    how.add_argument("--yes", action="store_true", help="delete it")
