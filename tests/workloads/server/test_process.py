"""The real process, as a pod runs it: ports, readiness, load on one port and not the other, SIGTERM."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import IO, Any

import pytest

from tests.workloads.server.samples import ModelFile, picture

WORKLOADS = Path(__file__).parents[3] / "workloads"
JPEG = picture(size=(640, 480))
DEADLINE = 90.0


@dataclass(frozen=True)
class Running:
    process: subprocess.Popen[bytes]
    log: IO[bytes]
    port: int
    ops_port: int

    def output(self) -> str:
        """All that was logged so far, read without moving the place where the process writes."""
        return os.pread(self.log.fileno(), 100_000_000, 0).decode()

    def get(self, path: str, *, ops: bool = True) -> tuple[int, Any]:
        port = self.ops_port if ops else self.port
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def wait_for(self, status: str) -> dict[str, Any]:
        """The body of /health once it has this status."""
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            body = self.get("/health")[1]
            if body["status"] == status:
                return dict(body)
            time.sleep(0.1)
        raise AssertionError(f"/health is not {status} but {body}")

    def predict(self) -> int:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("POST", "/predict", JPEG, {"Content-Type": "image/jpeg"})
        with connection.getresponse() as answer:
            answer.read()
        connection.close()
        return answer.status


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def start(model_file: ModelFile, **env: str) -> Running:
    """The server's process, once its ports are open."""
    port, ops_port = free_port(), free_port()
    values = {
        **{name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ},
        "PYTHONPATH": str(WORKLOADS),
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "OPS_PORT": str(ops_port),
        "MODEL_URI": model_file.uri,
        "MODEL_SHA256": model_file.sha256,
        "MODEL_VERSION": "v1",
        "DRAIN_SECONDS": "0.5",
        **env,
    }
    command = [sys.executable, "-m", "catsdogs.server"]
    log = tempfile.TemporaryFile()  # noqa: SIM115 - not a pipe, which would fill when nobody reads; closed by end()
    process = subprocess.Popen(command, env=values, stdout=log, stderr=subprocess.STDOUT)
    running = Running(process, log, port, ops_port)
    late = time.monotonic() + DEADLINE
    while "listening on" not in running.output():
        assert process.poll() is None, running.output()
        assert time.monotonic() < late, running.output()
        time.sleep(0.05)
    return running


def stop(running: Running) -> str:
    """The log; the process is killed if it does not end by itself."""
    running.process.terminate()
    return end(running)


def end(running: Running) -> str:
    """The log, once the process has ended; it is killed if it does not."""
    try:
        running.process.wait(timeout=DEADLINE)
        return running.output()
    finally:
        running.process.kill()
        running.process.wait()
        running.log.close()


@contextmanager
def serving(model_file: ModelFile, **env: str) -> Iterator[Running]:
    """A process that has loaded the model, stopped at the end of the block."""
    running = start(model_file, **env)
    try:
        running.wait_for("healthy")
        yield running
    finally:
        stop(running)


@pytest.fixture(scope="module")
def server(model_file: ModelFile) -> Iterator[Running]:
    with serving(model_file, QUEUE_LIMIT="2", WORKERS="1") as running:
        yield running


def test_a_wrong_hash_is_reported_and_never_served(model_file: ModelFile) -> None:
    running = start(ModelFile(model_file.path, "0" * 64))
    try:
        body = running.wait_for("failed")
        assert body["model_loaded"] is False
        assert body["reason"] == (
            f"{model_file.uri}: SHA-256 is {model_file.sha256}, not {'0' * 64}; tried again every 30 s or sooner"
        )
        assert running.predict() == 503
        assert running.get("/live") == (200, {"status": "alive"})
    finally:
        log = stop(running)
    assert running.process.returncode == 0
    failures = [line for line in map(json.loads, log.splitlines()) if line["severity"] == "WARNING"]
    assert failures[0]["message"] == (
        f"model not loaded: {body['reason'].removesuffix('; tried again every 30 s or sooner')}; next attempt in 1 s"
    )


def test_sigterm_while_loading_ends_at_once(model_file: ModelFile) -> None:
    running = start(model_file, DRAIN_SECONDS="0")
    log = stop(running)
    assert running.process.returncode == 0, log


def test_a_port_in_use_is_one_line(model_file: ModelFile, server: Running) -> None:
    env = {"PYTHONPATH": str(WORKLOADS), "HOST": "127.0.0.1", "PORT": str(server.port)}
    command = [sys.executable, "-m", "catsdogs.server"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == 78
    (line,) = done.stdout.splitlines()
    message = json.loads(line)["message"]
    assert message == f"can't listen on 127.0.0.1:{server.port}: Address already in use"


def test_health_answers_on_its_own_port_while_predict_is_overloaded(server: Running) -> None:
    """Twelve clients for one worker and a queue of two: all are answered, some with 503."""
    with ThreadPoolExecutor(12) as pool:
        clients = [pool.submit(lambda: [server.predict() for _ in range(15)]) for _ in range(12)]
        health = []
        while not all(client.done() for client in clients):
            health.append(server.get("/health")[0])
    statuses = [status for client in clients for status in client.result()]
    assert set(statuses) == {200, 503}
    assert len(health) > 3
    assert set(health) == {200}
    assert server.predict() == 200


def test_sigterm_finishes_what_is_accepted(model_file: ModelFile) -> None:
    running = start(model_file)
    try:
        running.wait_for("healthy")
        connection = HTTPConnection("127.0.0.1", running.port, timeout=30)
        connection.putrequest("POST", "/predict")
        connection.putheader("Content-Type", "image/jpeg")
        connection.putheader("Content-Length", str(len(JPEG)))
        connection.endheaders(JPEG[:1000])
        running.process.send_signal(signal.SIGTERM)
        assert running.wait_for("draining")["model_loaded"] is False
        assert running.predict() == 200, "new requests are still answered while traffic moves away"
        time.sleep(0.8)  # past DRAIN_SECONDS: only what is accepted still counts
        with pytest.raises(ConnectionRefusedError):
            running.predict()
        assert running.get("/health")[0] == 503
        connection.send(JPEG[1000:])
        with connection.getresponse() as answer:
            assert json.load(answer)["label"] in ("cat", "dog")
        assert (answer.status, answer.headers["Connection"]) == (200, "close")
        connection.close()
    finally:
        log = end(running)
    assert running.process.returncode == 0
    assert json.loads(log.splitlines()[-1])["message"] == "stopped"


def test_sigterm_waits_for_nobody_who_never_ends(model_file: ModelFile) -> None:
    """An upload that may stall for ten minutes, when one second is left to finish: the process ends by itself."""
    running = start(model_file, DRAIN_SECONDS="0", FINISH_SECONDS="1", RECEIVE_SECONDS="600")
    try:
        running.wait_for("healthy")
        with socket.create_connection(("127.0.0.1", running.port)) as connection:
            head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: 9\r\n\r\n"
            connection.sendall(head + b"x")
            assert running.get("/live", ops=False)[0] == 200  # by then the main loop has seen the upload
            log = stop(running)
    finally:
        running.process.kill()
    assert running.process.returncode == 0, log
    assert json.loads(log.splitlines()[-1])["message"] == "stopped"
