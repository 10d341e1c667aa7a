"""The server as a process that is driven hard: its log goes to a file, so that no full pipe stops it.
It must not be told anything that a pod is not told, but for its limits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from tests.workloads.server.samples import ModelFile
from tests.workloads.server.test_process import WORKLOADS, free_port

READY_SECONDS = 120.0


@dataclass(frozen=True)
class Server:
    process: subprocess.Popen[bytes]
    port: int
    ops_port: int
    log: Path

    def ready(self) -> bool:
        """What /health on the second port says: the sign that a load balancer looks at."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ops_port}/health", timeout=10) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def memory(self, field: str = "VmRSS") -> float:
        """MiB; VmHWM is the peak."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{field}:"))

    def stop(self) -> int:
        """The exit status after SIGTERM; killed after a minute."""
        self.process.terminate()
        try:
            return self.process.wait(60)
        finally:
            self.process.kill()
            self.process.wait()

    def complaints(self) -> list[str]:
        """What was logged above a warning."""
        lines = map(json.loads, self.log.read_text().splitlines())
        return [line["message"] for line in lines if line["severity"] in ("ERROR", "CRITICAL")]


def start(model_file: ModelFile, folder: Path, *, wait: bool = True, **env: str) -> Server:
    """The server, ready unless `wait` is false."""
    port, ops_port = free_port(), free_port()
    log = folder / f"server-{port}.log"
    values = {
        **{name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ},
        "PYTHONPATH": str(WORKLOADS),
        "PYTHONWARNINGS": "ignore",
        "MALLOC_ARENA_MAX": "4",
        "MALLOC_MMAP_THRESHOLD_": "33554432",
        "MALLOC_TRIM_THRESHOLD_": "67108864",
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "OPS_PORT": str(ops_port),
        "MODEL_URI": model_file.uri,
        "MODEL_SHA256": model_file.sha256,
        "LOG_LEVEL": "WARNING",
        **env,
    }
    with log.open("wb") as file:
        command = [sys.executable, "-m", "catsdogs.server"]
        process = subprocess.Popen(command, env=values, stdout=file, stderr=subprocess.STDOUT)
    server = Server(process, port, ops_port, log)
    if wait:
        wait_for(server)
    return server


def wait_for(server: Server) -> None:
    end = time.monotonic() + READY_SECONDS
    while not server.ready():
        assert server.process.poll() is None, server.log.read_text()
        assert time.monotonic() < end, server.log.read_text()
        time.sleep(0.1)


def wait_until_not_ready(server: Server) -> None:
    while server.ready():
        time.sleep(0.05)
