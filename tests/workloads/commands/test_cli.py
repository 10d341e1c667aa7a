"""The command line: what it refuses, in two lines, before it does anything."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from catsdogs import cli
from catsdogs.commands import gc
from catsdogs.commands.restore import pipeline_of
from catsdogs.commands.run import parameters_help
from catsdogs.errors import StageError
from catsdogs.key import PARAMETERS, STAGES


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CATSDOGS_BUCKET", raising=False)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (
            ["run", "--set", "epochs"],
            78,
            "catsdogs: --set epochs: not NAME=VALUE\nhint: as in --set epochs=40\n",
        ),
        (
            ["train", "--set", "epochs=0"],
            78,
            "catsdogs: parameters.epochs: 0 is not an integer from 1 to 500\n"
            "hint: catsdogs run --help lists the parameters and their ranges\n",
        ),
        (
            ["run", "--from", "nowhere"],
            78,
            "catsdogs: --from nowhere: no workspace there\nhint: name a folder that catsdogs run has made\n",
        ),
        (
            ["predict", "cat.jpg"],
            78,
            "catsdogs: model/model.pt: no model there, or neither training.json nor model.json beside it\n"
            "hint: train one with catsdogs run, or give --model and --sha256\n",
        ),
        (
            ["compare", "run1", "run2"],
            65,
            "catsdogs: run1: no workspace with a measured model\n"
            "hint: name a folder of catsdogs run, or give --bucket\n",
        ),
        (
            ["gc", "--bucket", "b", "--yes"],
            78,
            "catsdogs: which models are served is not known, so nothing is deleted\n"
            "hint: kubectl get msrv -A -o json | catsdogs gc --served - … or --nothing-served\n",
        ),
    ],
)
def test_a_mistake_is_two_lines(arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert (cli.main(arguments), capsys.readouterr().err) == (code, said)


def test_restoring_over_something_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").touch()

    assert cli.main(["restore", "0123456789ab", "--bucket", "b", "--out", "kept"]) == 78
    assert capsys.readouterr().err == "catsdogs: kept is not empty\nhint: name a new folder with --out\n"


@pytest.mark.parametrize("command", ["run", *STAGES, "predict", "compare", "restore", "versions", "pin", "unpin", "gc"])
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main([command, "--help"])

    assert caught.value.code == 0
    assert f"usage: catsdogs {command} " in capsys.readouterr().out


def test_the_help_of_run_names_every_parameter() -> None:
    assert [line.split()[0] for line in parameters_help().splitlines()[1:]] == [p.name for p in PARAMETERS]


@pytest.mark.parametrize(("text", "seconds"), [("0s", 0), ("30m", 1800), ("12h", 43200), ("1d", 86400)])
def test_times(text: str, seconds: int) -> None:
    assert gc.duration(text) == dt.timedelta(seconds=seconds)


@pytest.mark.parametrize("arguments", [["--older-than", "1 day"], ["--keep", "-1"], ["--dry-run", "--yes"], []])
def test_gc_refuses_what_it_does_not_understand(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["gc", *(["--bucket", "b"] if arguments else []), *arguments])

    assert caught.value.code == 2
    assert "usage: catsdogs gc" in capsys.readouterr().err


def test_a_pipeline_is_made_from_its_lock() -> None:
    lock = b"""
schema: '2.0'
stages:
  train:
    cmd: python -m train
    deps:
    - path: data/processed
      hash: md5
      md5: aa.dir
    params:
      params.yaml:
        seed: 1
        epochs: 2
    outs:
    - path: model/model.pt
      hash: md5
      md5: bb
"""

    assert pipeline_of(lock) == {
        "stages": {
            "train": {
                "cmd": "python -m train",
                "deps": ["data/processed"],
                "params": [{"params.yaml": ["epochs", "seed"]}],
                "outs": ["model/model.pt"],
            }
        }
    }


@pytest.mark.parametrize("kinds", ["", "ModelServer", "ModelServer TrainingRun"])
def test_what_kubectl_prints_of_servers_tells_what_is_served(tmp_path: Path, kinds: str) -> None:
    text = json.dumps({"kind": "List", "items": [{"kind": kind} for kind in kinds.split()]})
    (tmp_path / "served").write_text(text)

    assert gc.read_served(str(tmp_path / "served")) == text


@pytest.mark.parametrize("kinds", ["Pod", "TrainingRun", "ModelServer Pod"])
def test_a_list_without_servers_or_of_something_else_does_not(tmp_path: Path, kinds: str) -> None:
    text = json.dumps({"kind": "List", "items": [{"kind": kind} for kind in kinds.split()]})
    (tmp_path / "served").write_text(text)

    with pytest.raises(StageError, match="it lists"):
        gc.read_served(str(tmp_path / "served"))


def test_it_can_be_told_to_stop_before_a_stage_has_begun() -> None:
    early = "import os, signal, catsdogs.__main__; os.kill(os.getpid(), signal.SIGTERM)"
    environment = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[1])}
    assert subprocess.run([sys.executable, "-c", early], env=environment, check=False).returncode == 143
