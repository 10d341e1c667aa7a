"""One round of all sides in turns, and what is measured of our server alone. It must not print."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.serving import contenders
from bench.serving.contenders import Running

CLIENTS = 8
PEERS = ("plain_fastapi", "litserve_docs", "litserve_tuned")


@dataclass(frozen=True)
class Setting:
    """What is sent (a folder of JPEG files) and the model.pt that answers."""

    name: str
    pictures: Path
    model: Path


@dataclass(frozen=True)
class Side:
    """One side in one round: requests per second at 8 clients, p50 in ms at one, CPU seconds of the server and of
    the clients per second, and the probability of `cat` by picture."""

    rate: float
    p50: float
    cpu: float
    client_cpu: float
    answers: dict[int, float]


Round = dict[str, Side]


class Floor:
    """One floor process a core, idle until a round asks."""

    def __init__(self, setting: Setting) -> None:
        env = {**os.environ, **contenders.SERVER, "MODEL": str(setting.model), "PICTURES": str(setting.pictures)}
        command = [sys.executable, "-m", "bench.serving.floor"]
        pipe = subprocess.PIPE
        cores = os.cpu_count() or 1
        self.processes = [subprocess.Popen(command, env=env, stdin=pipe, stdout=pipe, text=True) for _ in range(cores)]
        for process in self.processes:
            if _line(process) != "ready":
                raise SystemExit("the floor program did not start")

    def measure(self, seconds: float) -> Side:
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.write(f"{seconds}\n")
            process.stdin.flush()
        done = [json.loads(_line(process)) for process in self.processes]
        rate = sum(each["count"] / each["seconds"] for each in done)
        cpu = sum(each["cpu"] / each["seconds"] for each in done)
        answers = {int(number): shares["cat"] for number, shares in done[0]["answers"].items()}
        return Side(rate, 0.0, cpu, 0.0, answers)

    def stop(self) -> None:
        for process in self.processes:
            process.communicate()


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@contextlib.contextmanager
def servers(python: Path, setting: Setting, tuned: dict[str, str]) -> Iterator[dict[str, Any]]:
    """All sides by name, started and stopped in their tracks."""
    running: dict[str, Any] = {}
    try:
        running["floor"] = Floor(setting)
        running["ours"] = contenders.ours(setting.model)
        running["ours"].pause()
        for name in PEERS:
            env = {**tuned, **contenders.SERVER} if name == "litserve_tuned" else {}
            running[name] = contenders.peer(python, name, setting.model, **env)
            running[name].pause()
        yield running
    finally:
        for each in running.values():
            each.stop()


def one_round(setting: Setting, running: dict[str, Any], seconds: float) -> Round:
    """All sides, one after the other."""
    return {
        name: side.measure(seconds) if isinstance(side, Floor) else _server(setting, side, seconds)
        for name, side in running.items()
    }


def _server(setting: Setting, server: Running, seconds: float) -> Side:
    server.resume()
    load(setting, server, clients=CLIENTS, seconds=0.3, warm_up=0)
    before = server.cpu_seconds()
    many = load(setting, server, clients=CLIENTS, seconds=seconds, warm_up=0)
    cpu = server.cpu_seconds() - before
    one = load(setting, server, clients=1, seconds=seconds / 2, warm_up=0.2)
    server.pause()
    refused = {status: count for status, count in many["statuses"].items() if status != "200"}
    if refused:
        raise SystemExit(f"{setting.name}: answers other than 200: {refused}")
    answers = {int(number): json.loads(body)["probabilities"]["cat"] for number, body in many["answers"].items()}
    p50 = 1000 * statistics.median(one["took"])
    return Side(len(many["took"]) / seconds, p50, cpu / seconds, many["client_cpu"] / seconds, answers)


def load(setting: Setting, server: Running, **job: Any) -> dict[str, Any]:
    """What the client process measured; see client.Job."""
    sent = {"port": server.port, "pictures": [str(file) for file in sorted(setting.pictures.iterdir())], **job}
    command = [sys.executable, "-m", "bench.serving.client"]
    done = subprocess.run(command, input=json.dumps(sent), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the client failed: {done.stderr.strip()[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def saturated(setting: Setting, server: Running) -> dict[int, list[float]]:
    """Seconds that /health took on both ports while eight clients keep every core busy."""
    server.resume()
    try:
        done = load(setting, server, clients=CLIENTS, seconds=10, probes=[server.port, server.ops_port])
    finally:
        server.pause()
    names = {str(server.port): "/health", str(server.ops_port): "/health, second port"}
    return {names[port]: took for port, took in done["health"].items()}


def open_loop(setting: Setting, server: Running, rounds: list[Round], seconds: float) -> dict[str, Any]:
    """At 70 % of the rate that eight clients got; `rate` is the one offered."""
    rate = 0.7 * statistics.median(each["ours"].rate for each in rounds)
    server.resume()
    try:
        return {"rate": rate, **load(setting, server, rate=rate, seconds=seconds, warm_up=1)}
    finally:
        server.pause()
