"""What a stage in the pod is told through its environment, read once and checked.
It must not have defaults for what decides a result: what is missing is an error that names it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catsdogs import key
from catsdogs.errors import config_error

HINT = "the operator sets this; by hand, set it as the Job's pod template does"


@dataclass(frozen=True)
class Settings:
    """One run as its pod sees it; `parameters` are checked and complete, `work` is the writable folder.

    `rerun`, where given, makes the version this run's own, and has it train anew.
    """

    bucket: str
    version: str
    raw_hash: str
    parameters: dict[str, Any]
    image: str
    run: str
    run_uid: str
    git_commit: str
    mlflow_uri: str
    rerun: str
    work: Path
    termination_log: Path
    port: int

    @property
    def repo(self) -> Path:
        """The DVC workspace that the stages share."""
        return self.work / "repo"


def from_environment(environment: Mapping[str, str] = os.environ) -> Settings:
    """Raises StageError 78 naming the first variable that is missing or wrong."""

    def needed(name: str) -> str:
        if not environment.get(name):
            raise config_error(f"{name} is not set", HINT)
        return environment[name]

    try:
        parameters = key.checked_parameters(json.loads(needed("CATSDOGS_PARAMETERS")))
    except (ValueError, AttributeError) as error:
        raise config_error(f"CATSDOGS_PARAMETERS: {error}", HINT) from None
    return Settings(
        bucket=needed("CATSDOGS_BUCKET"),
        version=needed("CATSDOGS_VERSION"),
        raw_hash=needed("CATSDOGS_RAW_HASH"),
        parameters=parameters,
        image=needed("CATSDOGS_IMAGE"),
        run=environment.get("CATSDOGS_RUN", ""),
        run_uid=environment.get("CATSDOGS_RUN_UID", ""),
        git_commit=environment.get("CATSDOGS_GIT_COMMIT", ""),
        mlflow_uri=environment.get("MLFLOW_TRACKING_URI", ""),
        rerun=environment.get("CATSDOGS_RERUN", ""),
        work=Path(environment.get("CATSDOGS_WORK", "/work")),
        termination_log=Path(environment.get("CATSDOGS_TERMINATION_LOG", "/dev/termination-log")),
        port=int(environment.get("CATSDOGS_PORT", "8080")),
    )
