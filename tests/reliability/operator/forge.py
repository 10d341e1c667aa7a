"""Starts operators quickly: one process imports the operator once and forks a real operator process per order.

Started as a program of its own, it reads one JSON order a line and answers with the process number; each operator
ends when it does.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import os
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[3]
PR_SET_PDEATHSIG = 1


class Forge:
    """The other end: start it once, order operators from it, close it."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._lock = asyncio.Lock()

    async def open(self) -> None:
        """Start the forking process and wait until it has imported everything."""
        path = os.pathsep.join(str(ROOT / part) for part in ("operator", "workloads", ""))
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.reliability.operator.forge",
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": path},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        await self._answer()

    async def start(self, env: Mapping[str, str], log: Path, planted: str = "") -> int:
        """Start an operator with exactly this environment; returns a pidfd, which the caller closes."""
        async with self._lock:
            assert self._process is not None
            assert self._process.stdin is not None
            order = {"env": dict(env), "log": str(log), "planted": planted}
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            return os.pidfd_open(int(await self._answer()))

    async def close(self) -> None:
        """End it and all operators that it started."""
        if self._process is not None:
            self._process.kill()
            await self._process.communicate()

    async def _answer(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        assert line, "the process that starts operators has ended"
        return line.decode()


async def ended(pidfd: int) -> None:
    """Wait until the process has ended."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(pidfd, done.set)
    try:
        await done.wait()
    finally:
        loop.remove_reader(pidfd)


def serve() -> None:
    """Fork an operator per order, until the orders end."""
    from kubernetes.aio.config import kube_config

    from mlops_operator.__main__ import main
    from tests.reliability.operator import planted

    assert threading.active_count() == 1, "a thread would be lost by the fork"
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them here
    gc.freeze()
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        if pid := os.fork():
            print(pid, flush=True)
            continue
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        out = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for number, target in ((os.open(os.devnull, os.O_RDONLY), 0), (out, 1), (out, 2)):
            os.dup2(number, target)
        os.environ.clear()
        os.environ.update(order["env"])
        # Read from the environment at import, which was too early.
        kube_config.KUBE_CONFIG_DEFAULT_LOCATION = order["env"]["KUBECONFIG"]
        if order["planted"]:
            planted.plant(order["planted"])
        code = 1
        try:
            code = main()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)


if __name__ == "__main__":
    serve()
