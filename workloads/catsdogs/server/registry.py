"""Finds a version of a registered model in MLflow and brings its files here, by MLflow's REST API alone.
It must not import mlflow, which takes longer to import than the rest of the server to start."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

API = "api/2.0/mlflow"
ANSWER_LIMIT = 1_000_000
PIECE = 1_000_000


class SourceError(Exception):
    """The model can't be had right now; trying again later can help. One line."""


class UnavailableError(SourceError):
    """Its place does not answer or lets nobody in: that says nothing about the model."""


@dataclass(frozen=True)
class Registered:
    """Where the files of a model's version lie, and the SHA-256 that its training noted ("" for none)."""

    location: str
    sha256: str


def find(server: str, model: str, seconds: float) -> Registered:
    """The version behind NAME@ALIAS or NAME/VERSION. Raises SourceError."""
    name, at, alias = model.partition("@")
    if at:
        query, where = {"name": name, "alias": alias}, "registered-models/alias"
    else:
        name, _, number = model.partition("/")
        query, where = {"name": name, "version": number}, "model-versions/get"
    version = _asked(server, f"{API}/{where}", query, seconds).get("model_version", {})
    tags = {tag.get("key"): tag.get("value", "") for tag in version.get("tags", [])}
    return Registered(_location(server, str(version.get("source", "")), seconds), str(tags.get("modelSha256", "")))


def _location(server: str, source: str, seconds: float) -> str:
    """`runs:/RUN/PATH` as the address in the artifact store; others are one already."""
    if not source.startswith("runs:/"):
        return source.rstrip("/")
    run, _, path = source.removeprefix("runs:/").strip("/").partition("/")
    info = _asked(server, f"{API}/runs/get", {"run_id": run}, seconds).get("run", {}).get("info", {})
    return f"{info.get('artifact_uri', '')}/{path}".rstrip("/")


def download(server: str, location: str, name: str, folder: Path, seconds: float) -> None:
    """The file `name` of an artifact folder that MLflow itself gives out.

    Each read may take `seconds`, all together ten times that. Raises SourceError, also when there is no such
    file: MLflow answers 500 then.
    """
    path = urllib.parse.quote(urllib.parse.urlsplit(location).path.strip("/"))
    address = f"{server.rstrip('/')}/api/2.0/mlflow-artifacts/artifacts/{path}/{name}"
    end = time.monotonic() + 10 * seconds
    try:
        with urllib.request.urlopen(address, timeout=seconds) as answer, (folder / name).open("wb") as file:  # noqa: S310 - checked_address
            while piece := answer.read(PIECE):
                file.write(piece)
                if time.monotonic() > end:
                    raise SourceError(f"{address} took more than {10 * seconds:.0f} s")
    except urllib.error.HTTPError as error:
        with error:
            raise SourceError(f"{address} answered {error.code}: {_said(error)}") from error
    except (OSError, HTTPException) as error:
        raise SourceError(f"{address} can't be read: {_cause(error)}") from error


def _asked(server: str, path: str, query: dict[str, str], seconds: float) -> dict[str, Any]:
    address = f"{server.rstrip('/')}/{path}?{urllib.parse.urlencode(query)}"
    try:
        with urllib.request.urlopen(address, timeout=seconds) as answer:  # noqa: S310 - checked_address
            content = json.loads(answer.read(ANSWER_LIMIT))
    except urllib.error.HTTPError as error:
        with error:
            raise SourceError(f"MLflow at {server} answered {error.code}: {_said(error)}") from error
    except (OSError, HTTPException, ValueError) as error:
        raise SourceError(f"MLflow at {server} can't be asked: {_cause(error)}") from error
    if not isinstance(content, dict):
        raise SourceError(f"MLflow at {server} answered {path} with no object")
    return content


def _said(error: urllib.error.HTTPError) -> str:
    """MLflow's own words, which name what is missing."""
    try:
        return str(json.loads(error.read(ANSWER_LIMIT))["message"]).splitlines()[0][:200]
    except (OSError, HTTPException, ValueError, KeyError, TypeError, IndexError):
        return str(error.reason)


def _cause(error: Exception) -> str:
    """urllib hides the error of the socket in `reason`."""
    return str(getattr(error, "reason", error)) or type(error).__name__
