"""`catsdogs restore VERSION`: the data and the model of a published version, byte for byte, into a folder.
It must not need the code or the dvc.yaml of then: what to fetch stands in the version's own dvc.lock."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from catsdogs import key
from catsdogs.commands.run import shorter
from catsdogs.errors import Exit, StageError, config_error, data_error
from catsdogs.pipeline import bucket as store
from catsdogs.pipeline import dvc, history
from catsdogs.pipeline.workspace import MODEL, MODEL_JSON, PARAMS, write_json, write_parameters


def restore(options: argparse.Namespace) -> int:
    """Lay the version out in --out, and check model.pt against its model.json."""
    folder = options.out.absolute()
    if folder.exists() and any(folder.iterdir()):
        raise config_error(f"{options.out} is not empty", "name a new folder with --out")
    bucket = store.open_bucket(options.bucket)
    described = history.published(bucket, options.version)
    lock = store.download_if_there(bucket, f"{key.model_prefix(options.version)}dvc.lock")
    if lock is None:
        raise data_error(f"version {options.version} has no dvc.lock", "only its models/ folder can be had")
    lay_out(folder, described, lock, options.bucket)
    dvc.pull(folder)
    check(folder / MODEL, described["sha256"])
    print(f"{options.version} is in {shorter(folder)}: its data, model and evaluation")
    return Exit.OK


def lay_out(folder: Path, described: dict[str, Any], lock: bytes, bucket: str) -> None:
    """All of a workspace but its data: dvc.lock, a dvc.yaml made from it, parameters, settings, model.json."""
    dvc.configure(folder, bucket)
    (folder / "dvc.lock").write_bytes(lock)
    (folder / "dvc.yaml").write_text(json.dumps(pipeline_of(lock), indent=1), encoding="utf-8")  # JSON is YAML
    write_parameters(described["lineage"]["parameters"], folder / PARAMS)
    write_json(folder / MODEL_JSON, described)


def pipeline_of(lock: bytes) -> dict[str, Any]:
    """The content of the dvc.yaml to which a dvc.lock belongs, as far as fetching needs it."""
    import yaml

    stages = yaml.safe_load(lock)["stages"]
    return {
        "stages": {
            name: {
                "cmd": stage["cmd"],
                "deps": [dep["path"] for dep in stage.get("deps", [])],
                "params": [{file: sorted(values)} for file, values in stage.get("params", {}).items()],
                "outs": [out["path"] for out in stage["outs"]],
            }
            for name, stage in stages.items()
        }
    }


def check(model: Path, sha256: str) -> None:
    """Raise StageError when what was fetched is not the version's model."""
    from catsdogs.model import sha256_of

    if not model.is_file() or sha256_of(model) != sha256:
        raise StageError(
            Exit.DATA_ERROR,
            f"{model} is not the model of SHA-256 {sha256[:12]}…",
            "the bucket's dvc/ folder is damaged",
        )
