"""DVC in a workspace: made without git, asked for one stage, pushed to and pulled from the bucket; always a process
of its own. It must not know what a stage does, and must leave nothing outside the workspace and its caches."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catsdogs import key
from catsdogs.errors import DISK_HINT, REASONS, RIGHTS_HINT, Exit, StageError
from catsdogs.pipeline.workspace import PARAMS, write_parameters

APP = Path(__file__).parents[3]  # holds dvc.yaml, params.yaml and workloads/
CACHE = Path(".dvc/cache")
CONFIG = """[core]
    no_scm = true
    analytics = false
    check_update = false
    autostage = false
[cache]
    type = "reflink,hardlink,symlink,copy"
"""
# `verify`: what is pulled is hashed, so that a damaged object is never taken for the data.
BUCKET_CONFIG = (
    CONFIG.replace("[core]\n", "[core]\n    remote = bucket\n")
    + """['remote "bucket"']
    url = gs://{bucket}/{prefix}
    verify = true
"""
)
CRASH_HINT = "the stage's log has the traceback"
BUCKET_HINT = "run again; if it stays, look at the object store and the rights to its dvc/ folder"


@dataclass(frozen=True)
class Ended:
    """How a DVC command ended: its exit code, and of its lines that began with ERROR the last, and the first as why."""

    code: int
    error: str = ""


def create(folder: Path, parameters: Mapping[str, Any], bucket: str = "") -> None:
    """Make `folder` a workspace: dvc.yaml, params.yaml, the code the stages depend on, and DVC's settings.

    Again on the same folder it renews these and keeps data, lock and cache.
    """
    source, target = APP / "workloads" / "catsdogs", folder / "workloads" / "catsdogs"
    configure(folder, bucket)
    if APP.resolve() != folder.resolve():
        shutil.copyfile(APP / "dvc.yaml", folder / "dvc.yaml")
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "server"))
        write_parameters(parameters, folder / PARAMS)


def configure(folder: Path, bucket: str = "") -> None:
    """Write DVC's settings, with the bucket as the remote if there is one."""
    (folder / ".dvc").mkdir(parents=True, exist_ok=True)
    text = BUCKET_CONFIG.format(bucket=bucket, prefix=key.DVC_PREFIX) if bucket else CONFIG
    (folder / ".dvc" / "config").write_text(text, encoding="utf-8")


def adopt(folder: Path, source: Path) -> None:
    """Give `folder` all that the workspace `source` has computed, so that only what differs is computed anew.

    Cache files are never written to, so they are shared by hard links where the file system can.
    """

    def link(here: str, there: str) -> None:
        with contextlib.suppress(FileExistsError):
            try:
                os.link(here, there)
            except OSError as error:
                if isinstance(error, FileExistsError):
                    raise
                shutil.copy2(here, there)

    shutil.copytree(source / CACHE, folder / CACHE, copy_function=link, dirs_exist_ok=True)
    if (source / "dvc.lock").exists():
        shutil.copyfile(source / "dvc.lock", folder / "dvc.lock")


def environment(folder: Path) -> dict[str, str]:
    """The process's environment with DVC's own folders inside the workspace, and this Python first on PATH."""
    state = folder / ".dvc"
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "DVC_NO_ANALYTICS": "1",
        "DVC_SITE_CACHE_DIR": str(state / "site"),
        "DVC_GLOBAL_CONFIG_DIR": str(state / "global"),
        "DVC_SYSTEM_CONFIG_DIR": str(state / "system"),
    }


def reproduce(
    folder: Path,
    stages: list[str],
    *,
    pull: bool,
    force: bool = False,
    started: Callable[[subprocess.Popen[str]], None],
    said: Callable[[str], None],
) -> Ended:
    """`dvc repro` of exactly these stages; `started` is given the process, `said` each line of DVC and the stages.

    With `pull`, what another run has computed before comes from the bucket instead of being computed; with `force`
    the stages themselves are computed whatever is known of them.
    """
    options = ["--single-item", *(["--pull"] if pull else []), *(["--force"] if force else [])]
    return _run(folder, ["repro", *options, *stages], started=started, said=said)


def push(folder: Path) -> None:
    """Send the files that dvc.lock names to the bucket. Raises StageError when that fails.

    Twice when it fails for a while: gcsfs gives a file up when the answer that ended its upload was lost, since its
    session is gone then; what has arrived is not sent again.
    Not the run cache: DVC would send it first, and all of it each time, one entry after the other.
    """
    what = "the data cache could not be sent to the bucket"
    for last in (False, True):
        ended = _run(folder, ["push", "--jobs", "8"])
        if not ended.code:
            return
        error = failure(ended.error, what, Exit.UNAVAILABLE)
        if last or error.code != Exit.UNAVAILABLE:
            raise error


def pull(folder: Path) -> None:
    """Fetch what the workspace's dvc.lock names, and lay it out. Raises StageError when that fails."""
    ended = _run(folder, ["pull", "--jobs", "8", "--force"])
    if ended.code:
        raise failure(ended.error, "the data could not be fetched from the bucket", Exit.UNAVAILABLE)


def failure(error: str, what: str, otherwise: Exit = Exit.CRASH) -> StageError:
    """What DVC's error line means for who runs it. `what` failed; `otherwise` when the line does not tell."""
    text = f"{what}: {error[:300]}" if error else what
    lower = error.lower()
    if found := re.search(r"exited with (\d+)", error):
        code = Exit(int(found[1])) if int(found[1]) in list(Exit) else Exit.CRASH
        return StageError(code, f"{what}: {REASONS[code]}", DISK_HINT if code == Exit.DISK_FULL else CRASH_HINT)
    if "no space left" in lower or "disk quota" in lower:
        return StageError(Exit.DISK_FULL, text, DISK_HINT)
    if re.search(r"forbidden|permission|unauthorized|invalid credentials|\b40[13]\b", lower):
        return StageError(Exit.PERMISSION_DENIED, text, RIGHTS_HINT)
    if "bucket does not exist" in lower:
        return StageError(Exit.BUCKET_NOT_FOUND, text, "create the bucket, or name another one in spec.bucket")
    if otherwise == Exit.CRASH and re.search(
        r"connect|timed? ?out|unavailable|too many requests|\b(429|50\d)\b", lower
    ):
        return StageError(Exit.UNAVAILABLE, text, BUCKET_HINT)
    return StageError(otherwise, text, CRASH_HINT if otherwise == Exit.CRASH else BUCKET_HINT)


def _run(
    folder: Path,
    arguments: list[str],
    started: Callable[[subprocess.Popen[str]], None] = lambda _: None,
    said: Callable[[str], None] = lambda _: None,
) -> Ended:
    """Run DVC to its end. Its lines are read by a thread: a stage that outlives DVC must not keep us waiting."""
    process = subprocess.Popen(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    errors: list[str] = []

    def read() -> None:
        assert process.stdout is not None  # it was asked for
        with process.stdout as lines:
            for line in lines:
                said(line.rstrip("\n"))
                if line.startswith("ERROR: "):
                    errors.append(line.removeprefix("ERROR: ").strip())

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    started(process)
    try:
        code = process.wait()
    except KeyboardInterrupt:  # the terminal has told the stage too, which may save what it has
        process.wait()
        raise
    reader.join(timeout=2)
    why = f" ({errors[0]})" if len(errors) > 1 else ""
    return Ended(code, errors[-1] + why if errors else "")
