"""The servers as processes: started once, stopped in their tracks while another one is measured, and read from /proc.
It must not send load."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from bench.store import free_port
from catsdogs import model

ROOT = Path(__file__).parents[2]
READY_SECONDS = 300.0  # LitServe imports torch in each of its workers
TICKS = os.sysconf("SC_CLK_TCK")
# What workloads/Dockerfile.server sets.
SERVER = {
    "OMP_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "4",
    "MALLOC_MMAP_THRESHOLD_": "33554432",
    "MALLOC_TRIM_THRESHOLD_": "67108864",
}


@dataclass
class Running:
    """A server that answers on `port`; `ops_port` is 0 where there is none."""

    process: subprocess.Popen[bytes]
    port: int
    ops_port: int = 0

    def pause(self) -> None:
        os.killpg(self.process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.killpg(self.process.pid, signal.SIGCONT)
        time.sleep(0.05)

    def cpu_seconds(self) -> float:
        """Of all its processes so far."""
        return sum(_cpu(pid) for pid in self._pids())

    def memory(self) -> float:
        """MiB of all its processes; what they share counts once."""
        return sum(_proportional(pid) for pid in self._pids()) / 1024

    def _pids(self) -> list[int]:
        numbers = [int(place.name) for place in Path("/proc").iterdir() if place.name.isdigit()]
        return [pid for pid in numbers if _group(pid) == self.process.pid]

    def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.resume()
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def ours(file: Path, **env: str) -> Running:
    """The server of this checkout, as its image starts it."""
    ops_port = free_port()
    digest = model.sha256_of(file)
    settings = {"HOST": "127.0.0.1", "OPS_PORT": str(ops_port), "MODEL_URI": file.as_uri(), "MODEL_SHA256": digest}
    return _start(
        [sys.executable, "-m", "catsdogs.server"], {**SERVER, **settings, "DRAIN_SECONDS": "0", **env}, ops_port
    )


def peer(python: Path, name: str, file: Path, **env: str) -> Running:
    """A program of bench/serving/peers under the peers' interpreter."""
    return _start([str(python), "-m", f"bench.serving.peers.{name}"], {"MODEL": str(file), **env})


def _start(command: list[str], env: dict[str, str], ops_port: int = 0) -> Running:
    port = free_port()
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    places = os.pathsep.join(map(str, (ROOT / "workloads", ROOT)))
    process = subprocess.Popen(
        command,
        env={**kept, "PYTHONPATH": places, "PYTHONWARNINGS": "ignore", **env, "PORT": str(port)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    running = Running(process, port, ops_port)
    _wait(running, command)
    return running


def _wait(running: Running, command: list[str]) -> None:
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until and running.process.poll() is None:
        address = f"http://127.0.0.1:{running.port}/health"
        with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=2) as answer:
            if answer.status == 200:
                return
        time.sleep(0.1)
    running.stop()
    raise SystemExit(f"{' '.join(command)} did not become healthy")


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the program's name."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _group(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[2]) if fields else 0


def _cpu(pid: int) -> float:
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / TICKS if fields else 0.0


def _proportional(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(float(line.split()[1]) for line in lines if line.startswith("Pss:"))
