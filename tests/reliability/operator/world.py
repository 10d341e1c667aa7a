"""One namespace with an operator of its own behind a fault proxy, a pretended kubelet, and a user.

It starts the operator again whenever that has ended, as a Deployment does, and keeps count of what must not happen.
"""

from __future__ import annotations

import asyncio
import os
import signal
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from devcluster.cluster import Cluster
from tests.integration.world import ROOT, condition, install
from tests.reliability.operator import forge
from tests.reliability.operator.api import Api, Eyes, Object, trust_of
from tests.reliability.operator.calls import Fault
from tests.reliability.operator.kubelet import Kubelet
from tests.reliability.operator.proxy import Proxy
from tests.reliability.operator.state import jobs_by_run, made_of, state_of
from tests.unit.operator.bucket_server import Buckets, bucket_server

PATIENCE = 75.0
RESTART_SECONDS = 0.2
IMAGE = "localhost:5000/cats-dogs/trainer@sha256:" + "1" * 64
NEW_IMAGE = "localhost:5000/cats-dogs/trainer@sha256:" + "2" * 64
RAW = "datasets/cats-dogs/raw/"
KIND = {"apiVersion": "mlops.cats-dogs.io/v1alpha1", "kind": "TrainingRun"}


class TroubleError(Exception):
    """What must not happen has happened."""


@dataclass
class House:
    """What all worlds share: an API server, a store, and the place that operators come from."""

    api: Api
    eyes: Eyes
    forge: forge.Forge
    session: aiohttp.ClientSession
    server: str
    trust: Any
    token: str
    buckets: Buckets
    folder: Path
    name: str = field(default_factory=lambda: uuid.uuid4().hex[:6])
    worlds: int = 0
    patience: float = PATIENCE

    @asynccontextmanager
    async def world(self, role: Mapping[str, Any] | None = None, **given: Any) -> AsyncIterator[World]:
        """A new namespace with all that an operator needs; its operator runs until the end of the block."""
        self.worlds += 1
        world = World(self, f"world-{self.name}-{self.worlds}", **{"patience": self.patience, **given})
        await _furnish(self.api, world.namespace, role)
        self.buckets.objects[world.namespace] = {f"{RAW}Cat/1.jpg": b"cat", f"{RAW}Dog/1.jpg": b"dog"}
        await world.open()
        try:
            yield world
        finally:
            await world.close()


@asynccontextmanager
async def house(cluster: Cluster, folder: Path) -> AsyncIterator[House]:
    """The shared part on a control plane, which gets the CRDs and the operator's account."""
    assert cluster.kubeconfig is not None
    install(cluster, "default")
    server, trust, admin = trust_of(cluster.kubeconfig)
    timeout = aiohttp.ClientTimeout(total=120)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        headers={"Accept-Encoding": "identity"},  # bodies pass through the proxy as they are
        timeout=timeout,
    ) as session:
        api = Api(session, server, admin)
        eyes, operators = Eyes(api, session, server, admin), forge.Forge()
        account = "/api/v1/namespaces/mlops-system/serviceaccounts/mlops-operator"
        token = (await api.ask("POST", f"{account}/token", {"spec": {"expirationSeconds": 36000}}))["status"]["token"]
        with bucket_server() as buckets:
            try:
                await eyes.open()
                await operators.open()
                yield House(api, eyes, operators, session, server, trust, token, buckets, folder)
            finally:
                await operators.close()
                await eyes.close()


async def _furnish(api: Api, namespace: str, role: Mapping[str, Any] | None) -> None:
    await api.ask("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
    documents = [*yaml.safe_load_all((ROOT / "deploy/workloads/role.yaml").read_text())]
    documents += yaml.safe_load_all((ROOT / "deploy/workloads/service-accounts.yaml").read_text())
    for document in documents:
        await api.create(namespace, role if role and document["kind"] == "Role" else document)


class World:
    """A running world. Every wait ends in TroubleError after `patience` seconds.

    Its operator serves the namespace `also` too; without `operated` it has none of its own.
    """

    def __init__(
        self,
        house: House,
        namespace: str,
        fault: Fault | None = None,
        planted: str = "",
        patience: float = PATIENCE,
        also: str = "",
        operated: bool = True,
    ) -> None:
        self.namespace, self.patience, self.planted = namespace, patience, planted
        self.also, self.operated = also, operated
        self.api, self.seen, self.buckets = house.api, house.eyes.namespaces[namespace], house.buckets
        self.proxy = Proxy(house.session, house.server, house.trust)
        self.proxy.fault, self.proxy.kill = fault, self.kill
        self.kubelet = Kubelet(house.api, namespace, self.seen, house.buckets)
        self.upgraded = asyncio.Event()
        self.starts = 0
        self.limits: Mapping[str, Any] = {}  # the reference's `made`, that nothing may exceed
        self._house, self._pidfd, self._env = house, -1, self._first_env(house)
        self._operating: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._beside: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Start proxy, operator and kubelet."""
        await self.proxy.start()
        self._write_kubeconfig()
        self._tasks = [asyncio.create_task(self.kubelet.run())]
        if self.operated:
            self.hire()

    async def close(self) -> None:
        """End them."""
        await self.dismiss()
        for task in (*self._tasks, *self._beside):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._beside, return_exceptions=True)
        await self.proxy.stop()

    @property
    def log(self) -> Path:
        """What the operators of this world have written."""
        return self._house.folder / f"{self.namespace}.log"

    # The operator

    def kill(self, number: int = signal.SIGKILL) -> None:
        """End the operator that runs now."""
        if self._pidfd >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def hire(self) -> None:
        """Run an operator from now on."""
        self._operating = asyncio.create_task(self._supervise())

    async def dismiss(self) -> None:
        """Kill the operator; no other one takes its place."""
        if self._operating is not None:
            self._operating.cancel()
            await asyncio.gather(self._operating, return_exceptions=True)
            self._operating = None

    async def upgrade(self, env: Mapping[str, str]) -> None:
        """Replace the operator by one with other settings."""
        self._env |= env
        starts = self.starts
        self.kill(signal.SIGTERM)
        await self.until("another operator", lambda: self.starts > starts)
        self.upgraded.set()

    async def restart(self) -> None:
        """Kill the operator and wait for the next one."""
        starts = self.starts
        self.kill()
        await self.until("another operator", lambda: self.starts > starts)

    async def _supervise(self) -> None:
        while True:
            self._pidfd = await self._house.forge.start(self._env, self.log, self.planted)
            self.starts += 1
            try:
                await forge.ended(self._pidfd)
            finally:
                self.kill()
                os.close(self._pidfd)
                self._pidfd = -1
            await asyncio.sleep(RESTART_SECONDS)

    def _first_env(self, house: House) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(house.folder),
            "KUBECONFIG": str(house.folder / f"{self.namespace}.kubeconfig"),
            "NAMESPACES": f"{self.namespace},{self.also}",
            "TRAINER_IMAGE": IMAGE,
            "SERVER_IMAGE": IMAGE,
            "BUCKET": self.namespace,
            "ALLOWED_REGISTRIES": "localhost:5000",
            "STORAGE_EMULATOR_HOST": house.buckets.url,
            "HEALTH_PORT": "0",
            "METRICS_PORT": "0",
        }

    def _write_kubeconfig(self) -> None:
        content = {
            "current-context": "proxy",
            "clusters": [{"name": "proxy", "cluster": {"server": self.proxy.url}}],
            "users": [{"name": "operator", "user": {"token": self._house.token}}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "operator"}}],
        }
        Path(self._env["KUBECONFIG"]).write_text(yaml.safe_dump(content))

    # The user

    async def create(self, name: str, labels: Mapping[str, str] | None = None, **spec: Any) -> Object:
        """Create a run."""
        metadata = {"name": name, "labels": dict(labels or {})}
        return await self.api.create(self.namespace, {**KIND, "metadata": metadata, "spec": spec})

    async def change(self, name: str, change: Mapping[str, Any]) -> None:
        """Merge-patch a run."""
        await self.api.patch("TrainingRun", self.namespace, name, change)

    async def delete(self, name: str) -> None:
        """Delete a run, as kubectl does."""
        await self.api.delete("TrainingRun", self.namespace, name)

    # What can be seen

    def run(self, name: str) -> Object:
        """The run as it is now; empty when there is none."""
        return self.seen.objects["TrainingRun"].get(name, {})

    def server(self, name: str) -> Object:
        """The ModelServer as it is now; empty when there is none."""
        return self.seen.objects["ModelServer"].get(name, {})

    def reason(self, name: str) -> str:
        """The reason of the run's Succeeded."""
        return condition(self.run(name))[1]

    def finished(self, name: str) -> bool:
        """Whether the run has ended."""
        return condition(self.run(name), "Finished")[0] == "True"

    def state(self) -> dict[str, Any]:
        """All that counts, without what differs from world to world."""
        return state_of(self.namespace, self.seen, self.kubelet.trainings, self.buckets.objects[self.namespace])

    async def until(self, what: str, holds: Callable[[], Any]) -> None:
        """Wait; raises TroubleError when it takes too long or what must not happen happens meanwhile."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.patience
        while True:
            self.check()
            if holds():
                return
            if loop.time() > deadline:
                raise TroubleError(f"not within {self.patience:.0f} s: {what}")
            await self.seen.changed(0.25)

    async def until_async(self, what: str, holds: Callable[[], Awaitable[Any]]) -> None:
        """Wait for something that has to be asked for."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.patience
        while not await holds():
            if loop.time() > deadline:
                raise TroubleError(f"not within {self.patience:.0f} s: {what}")
            await asyncio.sleep(0.2)

    def background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do something beside; it ends with the world at the latest."""
        self._beside.append(asyncio.create_task(work))
        return self._beside[-1]

    def zombies(self) -> list[str]:
        """Jobs and pods of runs that nobody wants: of no run that is there, or of one that has ended and still runs."""
        found = []
        for job in self.seen.objects["Job"].values():
            name = job["metadata"]["name"]
            if job["metadata"]["ownerReferences"][0]["kind"] == "ModelServer":
                continue
            owner = self.run(name).get("metadata", {}).get("uid")
            if owner != job["metadata"]["ownerReferences"][0]["uid"]:
                found.append(f"Job {name} of no run")
            elif self.finished(name) and job["status"].get("active"):
                found.append(f"Job {name} runs after its end")
        jobs = {job["metadata"]["uid"] for job in self.seen.objects["Job"].values()}
        for pod in self.seen.objects["Pod"].values():
            owner = pod["metadata"]["ownerReferences"][0]
            if owner["kind"] == "Job" and owner["uid"] not in jobs:
                found.append(f"pod {pod['metadata']['name']} of no Job")
        return found

    def check(self) -> None:
        """Raise TroubleError for a second Job of a run, or for more trainings than the reference has."""
        for task in (*self._tasks, *filter(None, [self._operating])):
            if task.done():
                task.result()
        for run, jobs in jobs_by_run(self.seen).items():
            if len(jobs) > 1:
                raise TroubleError(f"{len(jobs)} Jobs for run {run}")
        made = made_of(self.seen, self.kubelet.trainings) if self.limits else {}
        for run, counts in self.limits.items():
            trained = made.get(run, {}).get("trainings", 0)
            if trained > counts["trainings"]:
                raise TroubleError(f"{run} was trained {trained} times")
