"""Long-running programs of the cluster: started apart from the terminal, found by pid file, stopped for sure.

It knows nothing of what the programs do.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from devcluster.errors import DevclusterError
from devcluster.paths import State

POLL = 0.05  # seconds


def start(state: State, name: str, command: Sequence[str | Path], env: Mapping[str, str] | None = None) -> None:
    """Start a program unless it runs already; its output goes to `logs/NAME.log`."""
    if running(state, name):
        return
    state.logs.mkdir(parents=True, exist_ok=True)
    state.run.mkdir(parents=True, exist_ok=True)
    words = [str(part) for part in command]
    log = os.open(log_file(state, name), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    try:
        # No Popen: the program outlives this process, and nobody here waits for it.
        pid = os.posix_spawnp(
            words[0],
            words,
            dict(os.environ) | dict(env or {}),
            file_actions=[
                (os.POSIX_SPAWN_DUP2, nothing, 0),
                (os.POSIX_SPAWN_DUP2, log, 1),
                (os.POSIX_SPAWN_DUP2, log, 2),
                *((os.POSIX_SPAWN_CLOSE, number) for number in _inherited()),
            ],
            setsid=True,
        )
    except OSError as error:
        raise DevclusterError(f"{name}: {words[0]} can't be started: {error.strerror}") from None
    finally:
        os.close(log)
        os.close(nothing)
    (state.run / f"{name}.pid").write_text(f"{pid} {_started(pid)}")


def _inherited() -> list[int]:
    """Open files that this process was started with, such as a caller's lock: a program would hold them for good."""
    found = []
    for file in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # that of the listing itself
            if int(file.name) > 2 and os.get_inheritable(int(file.name)):
                found.append(int(file.name))
    return found


def _started(pid: int) -> str:
    """When a process started, in clock ticks since boot: with the pid this names one process for good."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def running(state: State, name: str) -> int | None:
    """The pid of a program that `start` started and that still runs."""
    try:
        pid, started = (state.run / f"{name}.pid").read_text().split(" ")
    except (OSError, ValueError):
        return None
    with contextlib.suppress(ChildProcessError):
        os.waitpid(int(pid), os.WNOHANG)  # a dead child of this process is no longer running
    return int(pid) if started and _started(int(pid)) == started else None


def stop(state: State, name: str, grace: float = 10.0) -> None:
    """End a program and all of its process group; nothing happens when it does not run."""
    if pid := running(state, name):
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(pid, number)
            except ProcessLookupError:
                break
            until = time.monotonic() + grace
            while running(state, name) and time.monotonic() < until:
                time.sleep(POLL)
            if not running(state, name):
                break
    (state.run / f"{name}.pid").unlink(missing_ok=True)


def started(state: State) -> list[str]:
    """The names of all programs that have a pid file, the newest first."""
    files = sorted(state.run.glob("*.pid"), key=lambda file: file.stat().st_mtime, reverse=True)
    return [file.stem for file in files]


def wait(state: State, name: str, ready: Callable[[], bool], seconds: float) -> None:
    """Wait until `ready`; raises `DevclusterError` with the end of its log when it died or took too long."""
    until = time.monotonic() + seconds
    while not ready():
        if running(state, name) is None:
            raise DevclusterError(f"{name} died: {last_lines(state, name)} (all of it: {log_file(state, name)})")
        if time.monotonic() > until:
            raise DevclusterError(
                f"{name} is not ready after {seconds:.0f} s: {last_lines(state, name)} (see {log_file(state, name)})"
            )
        time.sleep(POLL)


def log_file(state: State, name: str) -> Path:
    """Where the output of a program goes."""
    return state.logs / f"{name}.log"


def last_lines(state: State, name: str, count: int = 3) -> str:
    """The last lines of a program's log, as one line."""
    try:
        lines = log_file(state, name).read_text(errors="replace").strip().splitlines()
    except OSError:
        return "it wrote no log"
    return " | ".join(line[-200:] for line in lines[-count:]) or "its log is empty"
