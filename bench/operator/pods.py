"""Plays Job controller, scheduler and kubelet for the Jobs of a namespace, in a process of its own.

`--mode jump`: each Job is done at once. `--mode stages`: its pod goes through the five stages, each `--seconds` long,
begun at random within `--spread` seconds. It writes nothing but pods and the status of pods and Jobs, and notes to
`--log` when it told what, as JSON lines of run, reason and monotonic time.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from aiohttp import web

from bench.operator.rest import AT_ONCE, JOBS, MERGE, PODS, Api, Object, connect
from bench.operator.world import Process, World
from catsdogs.key import STAGES
from mlops_operator.api.times import timestamp
from mlops_operator.builders.job import PROGRESS_PORT
from mlops_operator.status.pod import STAGE_NAMES, STAGE_REASONS

ADDRESS = "127.99.0.1"
"""Where all pods live: an address of the loopback network, on which the progress of the stage Train is served."""

SUMMARIES: Mapping[str, Mapping[str, Any]] = {
    "train": {"epochs": 20, "valAccuracy": 0.9},
    "evaluate": {"sha256": "a" * 64, "testAccuracy": 0.91, "testCount": 300},
}


@dataclass(frozen=True)
class Player:
    """The process that plays, and what it notes."""

    process: Process
    log: Path


@contextlib.contextmanager
def played(world: World, namespace: str, mode: str, seconds: float = 0.0, spread: float = 0.0) -> Iterator[Player]:
    """Play while the body runs."""
    log = world.folder / f"pods-{namespace}-{time.monotonic_ns()}.log"
    words = (
        f"--kubeconfig={world.kubeconfig} --namespace={namespace} --mode={mode} --seconds={seconds} --spread={spread}"
    )
    process = world.start(f"pods-{namespace}", "bench.operator.pods", *words.split(), f"--log={log}")
    try:
        yield Player(process, log)
    finally:
        process.stop()


@dataclass
class Kubelet:
    """Writes what a node would, AT_ONCE requests at a time."""

    api: Api
    namespace: str
    log: TextIO
    room: asyncio.Semaphore

    async def call(self, verb: str, path: str, body: Any, kind: str = "application/json") -> Object:
        async with self.room:
            return await self.api.call(verb, path, body, kind)

    async def make_pod(self, job: Object) -> str:
        """The Job's pod, as the Job controller makes it; returns its name."""
        metadata, template = job["metadata"], job["spec"]["template"]
        name = f"{metadata['name']}-{random.randbytes(3).hex()}"  # noqa: S311 - a name
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": metadata["name"], "uid": metadata["uid"]}
        labels = {**template["metadata"]["labels"], "batch.kubernetes.io/job-name": metadata["name"]}
        meta = {"name": name, "labels": labels, "ownerReferences": [{**owner, "controller": True}]}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": template["spec"]}
        await self.call("POST", PODS.format(self.namespace), pod)
        return name

    async def report(self, pod: str, done: int, phase: str) -> None:
        """The pod's status once `done` stages have ended and the next one runs."""
        states = [state(number, done) for number in range(len(STAGES))]
        address = {"podIP": ADDRESS, "podIPs": [{"ip": ADDRESS}]}
        status = {"phase": phase, "initContainerStatuses": states[:-1], "containerStatuses": states[-1:], **address}
        await self.call("PATCH", f"{PODS.format(self.namespace)}/{pod}/status", {"status": status}, MERGE)

    async def complete(self, job: str) -> None:
        """The Job's status, as the Job controller writes it at the end."""
        now = timestamp(datetime.now(UTC))
        both = [
            {"type": kind, "status": "True", "lastTransitionTime": now} for kind in ("SuccessCriteriaMet", "Complete")
        ]
        times = {"startTime": now, "completionTime": now}
        status = {"conditions": both, "succeeded": 1, "uncountedTerminatedPods": {}, **times}
        await self.call("PATCH", f"{JOBS.format(self.namespace)}/{job}/status", {"status": status}, MERGE)

    def told(self, job: str, why: str, when: float) -> None:
        print(json.dumps([job, why, when]), file=self.log)


def state(number: int, done: int) -> Object:
    """The container status of stage `number` when `done` of them have ended."""
    name, moment = STAGES[number], "2026-01-01T00:00:00Z"
    said = json.dumps({"ok": True, "summary": SUMMARIES.get(name, {})})
    ended = {"exitCode": 0, "reason": "Completed", "message": said, "startedAt": moment, "finishedAt": moment}
    states = {True: {"terminated": ended}, False: {"waiting": {"reason": "PodInitializing"}}}
    now = {"running": {"startedAt": moment}} if number == done else states[number < done]
    return {"name": name, "image": "i", "imageID": "", "ready": False, "restartCount": 0, "state": now}


async def jump(kubelet: Kubelet, job: Object) -> None:
    name = job["metadata"]["name"]
    pod = await kubelet.make_pod(job)
    await kubelet.report(pod, len(STAGES), "Succeeded")
    before = time.monotonic()
    await kubelet.complete(name)
    kubelet.told(name, "Completed", before)


async def live(kubelet: Kubelet, job: Object, spread: float, seconds: float) -> None:
    name = job["metadata"]["name"]
    pod = await kubelet.make_pod(job)
    await asyncio.sleep(random.uniform(0, spread))  # noqa: S311 - no secret
    for number, stage in enumerate(STAGES):
        before = time.monotonic()
        await kubelet.report(pod, number, "Running")
        kubelet.told(name, STAGE_REASONS[STAGE_NAMES[stage]], before)
        await asyncio.sleep(seconds)
    await kubelet.report(pod, len(STAGES), "Succeeded")
    before = time.monotonic()
    await kubelet.complete(name)
    kubelet.told(name, "Completed", before)


async def jobs(api: Api, namespace: str) -> Any:
    """Each Job of the namespace that is not done, once, those that come later too."""
    found, version = await api.list(JOBS.format(namespace))
    for job in found:
        if not job["status"].get("succeeded"):
            yield job
    async for line in api.watch(JOBS.format(namespace), version):
        event = json.loads(line)
        if event["type"] == "ADDED":
            yield event["object"]


async def serve_progress() -> web.AppRunner:
    """What every trainer says of itself; the percentage goes up with time, as it would."""

    async def progress(_: web.Request) -> web.Response:
        percent = int(time.monotonic()) % 100
        return web.json_response({"stage": "train", "percent": percent, "epoch": percent // 5, "epochs": 20})

    application = web.Application()
    application.add_routes([web.get("/progress", progress)])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, ADDRESS, PROGRESS_PORT).start()
    return runner


async def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kubeconfig", type=Path, required=True)
    options.add_argument("--namespace", required=True)
    options.add_argument("--mode", choices=("jump", "stages"), required=True)
    options.add_argument("--seconds", type=float, default=10.0)
    options.add_argument("--spread", type=float, default=10.0)
    options.add_argument("--log", type=Path, required=True)
    given = options.parse_args()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    progress = await serve_progress()
    async with connect(given.kubeconfig) as api:
        with given.log.open("w", buffering=1) as log:
            kubelet = Kubelet(api, given.namespace, log, asyncio.Semaphore(AT_ONCE))
            main_task = asyncio.create_task(play(kubelet, given))
            stopped = asyncio.create_task(stop.wait())
            await asyncio.wait((main_task, stopped), return_when=asyncio.FIRST_COMPLETED)
            if main_task.done():
                main_task.result()
            main_task.cancel()
            await asyncio.gather(main_task, return_exceptions=True)
    await progress.cleanup()


async def play(kubelet: Kubelet, given: argparse.Namespace) -> None:
    async with asyncio.TaskGroup() as group:
        async for job in jobs(kubelet.api, kubelet.namespace):
            life = jump(kubelet, job) if given.mode == "jump" else live(kubelet, job, given.spread, given.seconds)
            group.create_task(life)


if __name__ == "__main__":
    asyncio.run(main())
