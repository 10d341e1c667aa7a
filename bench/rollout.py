"""From a TrainingRun's success to its model on all pods of a ModelServer, gate and smoke included, on the demo cluster.

    make demo && python -m bench.rollout [--rounds 5] [--replicas 2] [--window 0]

Each round publishes another copy of the demo's model as if it had been trained, so that its run ends at once as Reused,
and looks at the two resources' watches only: how long each step took is what a user could see.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from yarl import URL

from bench.operator.rest import TRAINING_RUNS, Api, Object, connect
from catsdogs.key import model_prefix, version
from demo import deploy, kubectl
from devcluster import cluster
from devcluster.progress import Reporter

NAMESPACE, DEMO, SERVER = "cats-dogs", "cats-dogs-demo", "bench-rollout"
SERVERS = "/apis/mlops.cats-dogs.io/v1alpha1/namespaces/{}/modelservers"
LABELS = {"bench": "rollout"}
FIRST_SEED = 1_000_000
STEPS = {
    "detected": "the ModelServer names the candidate",
    "ready": "the candidate's pod is up, its judge is asked",
    "judged": "the gate has let it in",
    "rolled": "all pods serve it",
    "settled": "the condition Settled says so",
}


@dataclass
class Store:
    """One bucket of the cluster's object store."""

    session: aiohttp.ClientSession
    address: str
    bucket: str
    written: list[str] = field(default_factory=list)

    async def read(self, name: str) -> bytes:
        where = f"{self.address}/download/storage/v1/b/{self.bucket}/o/{name.replace('/', '%2F')}?alt=media"
        async with self.session.get(URL(where, encoded=True)) as answer:
            answer.raise_for_status()
            return await answer.read()

    async def write(self, name: str, content: bytes) -> None:
        query = {"uploadType": "media", "name": name}
        where = f"{self.address}/upload/storage/v1/b/{self.bucket}/o"
        async with self.session.post(where, params=query, data=content) as answer:
            answer.raise_for_status()
        self.written.append(name)

    async def clean(self) -> None:
        for name in self.written:
            where = f"{self.address}/storage/v1/b/{self.bucket}/o/{name.replace('/', '%2F')}"
            async with self.session.delete(URL(where, encoded=True)):
                pass


@dataclass
class Seen:
    """When each step of the present round was seen first, in monotonic seconds."""

    run: str = ""
    sha256: str = ""
    moments: dict[str, float] = field(default_factory=dict)
    last: str = ""

    def look(self, line: bytes) -> None:
        """One event of a watch."""
        now, item = time.monotonic(), json.loads(line)["object"]
        holds = self._of_run(item) if item["kind"] == "TrainingRun" else self._of_server(item)
        for step, true in holds.items():
            if true:
                self.moments.setdefault(step, now)

    def _of_run(self, item: Object) -> dict[str, bool]:
        mine = item["metadata"]["name"] == self.run
        return {"succeeded": mine and said(item, "Succeeded")[0] == "True"}

    def _of_server(self, item: Object) -> dict[str, bool]:
        if item["metadata"]["name"] != SERVER:
            return {}
        status, accepted, settled = item.get("status", {}), said(item, "CandidateAccepted"), said(item, "Settled")
        self.last = f"{accepted}, {settled}"
        tried = status.get("candidate", {}).get("sha256") == self.sha256
        let_in = self.sha256 in (status.get("rollout", {}).get("sha256"), status.get("model", {}).get("sha256"))
        return {
            "detected": tried or let_in,
            "ready": (tried and accepted[1] == "Judging") or let_in,
            "judged": let_in,
            "rolled": status.get("model", {}).get("sha256") == self.sha256,
            "settled": settled[0] == "True" and status.get("decidedFor") == self.run,
        }


def said(item: Object, kind: str) -> tuple[str, str]:
    """Status and reason of a condition."""
    conditions = item.get("status", {}).get("conditions", ())
    return next(((c["status"], c["reason"]) for c in conditions if c["type"] == kind), ("", ""))


def copies(content: bytes, sha256: str, folder: Path, count: int) -> list[tuple[bytes, str]]:
    """Models with the same answers and other digests: a bias is moved by a millionth."""
    import torch

    from catsdogs import model

    file = folder / "model.pt"
    file.write_bytes(content)
    module, metadata = model.load(file, sha256)
    found = []
    for _ in range(count):
        with torch.no_grad():
            module.head.bias.add_(1e-6)  # type: ignore[union-attr, operator]
        digest = model.save(file, module, metadata)
        found.append((file.read_bytes(), digest))
    return found


async def publish(store: Store, demo: Object, number: int, content: bytes, sha256: str) -> Object:
    """Put a model where the run of that number looks for it; returns the run."""
    status, seed = demo["status"], FIRST_SEED + number
    parameters = {**demo["spec"]["parameters"], "seed": seed}
    key = version(status["rawHash"], parameters, status["image"])
    described = json.loads(await store.read(f"{model_prefix(status['version'])}model.json"))
    await store.write(f"{model_prefix(key)}model.pt", content)
    told = json.dumps({**described, "sha256": sha256, "version": key}).encode()
    await store.write(f"{model_prefix(key)}model.json", told)
    kind = {"apiVersion": "mlops.cats-dogs.io/v1alpha1", "kind": "TrainingRun"}
    metadata = {"name": f"{SERVER}-{number}", "labels": LABELS}
    return {**kind, "metadata": metadata, "spec": {"parameters": parameters, "image": status["image"]}}


async def one_round(api: Api, seen: Seen, run: Object, sha256: str, patience: float = 600.0) -> Mapping[str, float]:
    """Seconds from the run's success to each step."""
    seen.moments.clear()
    seen.run, seen.sha256 = run["metadata"]["name"], sha256
    await api.call("POST", TRAINING_RUNS.format(NAMESPACE), run)
    until = time.monotonic() + patience
    while not {"succeeded", *STEPS} <= seen.moments.keys():
        if time.monotonic() > until:
            raise SystemExit(f"{seen.run} is not served after {patience:.0f} s: {seen.last}")
        await asyncio.sleep(0.02)
    return {step: max(0.0, seen.moments[step] - seen.moments["succeeded"]) for step in STEPS}


@contextlib.asynccontextmanager
async def watched(api: Api) -> AsyncIterator[Seen]:
    """Look at all events of both kinds while the body runs."""
    seen = Seen()

    async def watch(path: str) -> None:
        _, start = await api.list(path)
        async for line in api.watch(path, start):
            seen.look(line)

    tasks = [asyncio.create_task(watch(path.format(NAMESPACE))) for path in (TRAINING_RUNS, SERVERS)]
    try:
        yield seen
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def measure(api: Api, store: Store, given: argparse.Namespace) -> list[Mapping[str, float]]:
    demo = await api.call("GET", f"{TRAINING_RUNS.format(NAMESPACE)}/{DEMO}")
    model, rounds, runs = demo["status"]["model"], [], []
    content = await store.read(f"{model_prefix(demo['status']['version'])}model.pt")
    with tempfile.TemporaryDirectory() as folder:
        planted = copies(content, model["sha256"], Path(folder), given.rounds + 1)
    spec = {
        "modelFrom": {"selector": {"matchLabels": LABELS}},
        "replicas": given.replicas,
        "gate": {"minimum": "0", "maxRegression": "0.02"},
        "watch": {"windowSeconds": given.window},
        "expose": {"type": "ClusterIP"},
    }
    kind = {"apiVersion": "mlops.cats-dogs.io/v1alpha1", "kind": "ModelServer", "metadata": {"name": SERVER}}
    await api.call("POST", SERVERS.format(NAMESPACE), {**kind, "spec": spec})
    try:
        async with watched(api) as seen:
            for number, (file, sha256) in enumerate(planted):
                runs.append(run := await publish(store, demo, number, file, sha256))
                took = await one_round(api, seen, run, sha256)
                if number:  # the first model of all has nothing to be compared with, and no pods that roll
                    rounds.append(took)
                    print(f"round {number} of {given.rounds}: {took['rolled']:.1f} s", flush=True)
                await asyncio.sleep(given.pause)
    finally:
        await api.call("DELETE", f"{SERVERS.format(NAMESPACE)}/{SERVER}")
        for run in runs:
            await api.call("DELETE", f"{TRAINING_RUNS.format(NAMESPACE)}/{run['metadata']['name']}")
        await store.clean()
    return rounds


def show(rounds: list[Mapping[str, float]]) -> None:
    """Medians with their range, and each step's share of the whole."""
    print("\n| step | after s (range) | it took s | share |\n| --- | --- | --- | --- |")
    whole, before = statistics.median(one["settled"] for one in rounds), 0.0
    for step, what in STEPS.items():
        each = [one[step] for one in rounds]
        at = statistics.median(each)
        took = at - before
        print(f"| {what} | {at:.1f} ({min(each):.1f} to {max(each):.1f}) | {took:.1f} | {took / whole:.0%} |")
        before = at


async def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--replicas", type=int, default=2)
    options.add_argument("--window", type=int, default=0, help="seconds of the watch after the roll")
    options.add_argument("--pause", type=float, default=6.0, help="seconds of rest after each round")
    given = options.parse_args()
    ask = kubectl.of(cluster.up(Reporter()))
    assert ask.kubeconfig is not None
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {given.rounds} rounds, {given.replicas} pods")
    async with connect(ask.kubeconfig) as api, aiohttp.ClientSession() as session:
        store = Store(session, deploy.address(ask, "object-store", 4443), "cats-dogs")
        show(await measure(api, store, given))
        print(f"load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    asyncio.run(main())
