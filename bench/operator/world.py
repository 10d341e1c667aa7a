"""The world that is measured in: etcd and kube-apiserver, the object store's emulator, and namespaces with the
operator's own Role. It starts and stops processes and measures nothing."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from bench.store import free_port, store
from devcluster import cluster, processes
from devcluster.control_plane import free_ports
from devcluster.paths import State
from devcluster.progress import Reporter

ROOT = Path(__file__).parents[2]
BUCKET = "photographs"
IMAGE = "localhost:5000/cats-dogs/trainer@sha256:" + "1" * 64


@dataclass
class Process:
    """A process that must live until it is stopped."""

    name: str
    running: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.running.pid

    def stop(self) -> None:
        """End it by SIGTERM; SystemExit with the end of its log when it had ended before, or won't."""
        if self.running.poll() is not None:
            raise SystemExit(f"{self.name} has ended: {self.log.read_text()[-1500:]}")
        self.running.terminate()
        try:
            self.running.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.kill()
            raise SystemExit(f"{self.name} does not end: {self.log.read_text()[-1500:]}") from None

    def kill(self) -> None:
        """End it at once; nothing happens when it has ended."""
        self.running.kill()
        self.running.wait()


@dataclass
class World:
    """A running world. `kubeconfig` is the administrator's, `operator` the operator's own."""

    cluster: cluster.Cluster
    store: str
    folder: Path
    pids: dict[str, int] = field(default_factory=dict)
    processes: list[Process] = field(default_factory=list)

    @property
    def kubeconfig(self) -> Path:
        assert self.cluster.kubeconfig is not None
        return self.cluster.kubeconfig

    @property
    def operator(self) -> Path:
        return self.folder / "operator.kubeconfig"

    def kubectl(self, *words: str, given: str | None = None) -> str:
        """Standard output; raises CalledProcessError."""
        command = self.cluster.command(*words)
        return subprocess.run(command, input=given, check=True, stdout=subprocess.PIPE, text=True).stdout

    def namespace(self, name: str) -> None:
        """A namespace that the operator may work in."""
        self.kubectl("create", "namespace", name)
        self.kubectl("apply", "--server-side", "-n", name, "-k", str(ROOT / "deploy/workloads"))

    def start(self, name: str, *command: str, env: Mapping[str, str] | None = None) -> Process:
        """A Python module as a process; what is still running at the end of the world is ended with it."""
        log = self.folder / f"{name}.log"
        with log.open("ab") as out:
            words = [sys.executable, "-m", *command]
            running = subprocess.Popen(words, env={**os.environ, **(env or {})}, stdout=out, stderr=out, cwd=ROOT)
        process = Process(name, running, log)
        self.processes.append(process)
        return process

    def operator_env(self, kubeconfig: Path, namespace: str, lags: Path) -> dict[str, str]:
        """The environment of whoever is measured."""
        health, metrics = free_ports(2)
        return {
            "KUBECONFIG": str(kubeconfig),
            "NAMESPACES": namespace,
            "TRAINER_IMAGE": IMAGE,
            "BUCKET": BUCKET,
            "ALLOWED_REGISTRIES": "localhost:5000",
            "STORAGE_EMULATOR_HOST": self.store,
            "HEALTH_PORT": str(health),
            "METRICS_PORT": str(metrics),
            "BENCH_LAGS": str(lags),
        }


@contextlib.contextmanager
def running() -> Iterator[World]:
    """All of it, gone at the end."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-operator-")))
        port = free_port()
        address = f"http://127.0.0.1:{port}"
        server = stack.enter_context(store(folder, port, address))
        photographs(address)
        plane = stack.enter_context(cluster.isolated_control_plane(Reporter(), controllers=False))
        world = World(plane, address, folder)
        state = State(world.kubeconfig.parent)
        world.pids = {name: processes.running(state, name) or 0 for name in ("kube-apiserver", "etcd")}
        world.pids["store"] = server.pid
        world.kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
        world.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        world.kubectl("get", "trainingruns,modelservers", "-A")  # kubectl waits until their storage is ready
        world.kubectl("create", "namespace", "mlops-system")
        world.kubectl("apply", "-n", "mlops-system", "-f", str(ROOT / "deploy/base/service-account.yaml"))
        token = world.kubectl("create", "token", "mlops-operator", "-n", "mlops-system").strip()
        found = yaml.safe_load(world.kubeconfig.read_text())
        found["users"][0]["user"] = {"token": token}
        world.operator.write_text(yaml.safe_dump(found))
        stack.callback(lambda: [process.kill() for process in world.processes])
        yield world


def photographs(address: str) -> None:
    """A bucket with a few objects where the photographs are looked for; what they hold, nobody asks here."""
    options = {"api_endpoint": address}
    client = storage.Client("bench", credentials=AnonymousCredentials(), client_options=options)
    bucket = client.create_bucket(BUCKET)
    for name in ("Cat/1.jpg", "Cat/2.jpg", "Dog/1.jpg", "Dog/2.jpg"):
        bucket.blob(f"datasets/cats-dogs/raw/{name}").upload_from_string(name.encode())
