"""The pretended kubelet: it gives each new pod of a namespace the life that its script says.

Jobs, their retries and all deletions are the real controllers'; only what happens in a pod is played.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from mlops_operator.builders.job import NAME as TRAINER
from tests.integration.world import RUNNING, STAGES, condition, ended, ok
from tests.reliability.operator.api import Api, Object, RefusedError, Seen
from tests.unit.operator.bucket_server import Buckets

SHA256 = "a" * 64
SHOWN_SECONDS = 2.0  # how long a stage lasts at least, unless the operator has shown it before
LIFE = "mlops.cats-dogs.io/"
Life = Callable[["Kubelet", Object], Awaitable[None]]


class Kubelet:
    """Plays the pods of one namespace. `scripts` has the lives of a run's pods in order; without one it trains.
    `apps` has the life of every pod that serves or judges, by its name label; without one it waits."""

    def __init__(self, api: Api, namespace: str, seen: Seen, buckets: Buckets) -> None:
        self.scripts: dict[str, list[Life]] = {}
        self.default: Life = trains
        self.apps: Mapping[str, Life] = {}
        self.trainings: Counter[str] = Counter()  # by UID of the run
        self._api, self._namespace, self._seen, self._buckets = api, namespace, seen, buckets
        self._lives: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Play until cancelled."""
        try:
            while True:
                present = {pod["metadata"]["uid"]: pod for pod in self._seen.objects["Pod"].values()}
                for uid, pod in present.items():
                    if uid not in self._lives:
                        self._lives[uid] = asyncio.create_task(self._live(pod))
                for uid, life in self._lives.items():
                    if life.done() and not life.cancelled():
                        life.result()
                    if uid not in present or "deletionTimestamp" in present[uid]["metadata"]:
                        life.cancel()
                await self._seen.changed(1.0)
        finally:
            for life in self._lives.values():
                life.cancel()
            await asyncio.gather(*self._lives.values(), return_exceptions=True)

    async def _live(self, pod: Object) -> None:
        life = await self._life_of(pod)
        with suppress(RefusedError):  # the pod is gone
            await life(self, pod)

    async def _life_of(self, pod: Object) -> Life:
        app = pod["metadata"]["labels"]["app.kubernetes.io/name"]
        if app != TRAINER:
            return self.apps.get(app, waits)
        while pod["metadata"]["ownerReferences"][0]["uid"] not in self._seen.jobs:
            await self._seen.changed(1.0)  # the watches are not in step
        script = self.scripts.get(run_of_pod(pod), [])
        return script.pop(0) if script else self.default

    async def say(self, pod: Object, **status: Any) -> None:
        """Write the status of the pod."""
        await self._api.patch("Pod", self._namespace, pod["metadata"]["name"], {"status": status}, "status")

    async def report(self, pod: Object, phase: str, states: Mapping[str, Any], **status: Any) -> None:
        """Write the status of the pod; stages that are not named wait."""
        waiting = {"waiting": {"reason": "PodInitializing"}}
        fixed = {"image": "i", "imageID": "", "ready": False, "restartCount": 0}
        shown = [{"name": stage, **fixed, "state": dict(states.get(stage, waiting))} for stage in STAGES]
        await self.say(pod, phase=phase, initContainerStatuses=shown[:-1], containerStatuses=shown[-1:], **status)

    async def train(self, pod: Object) -> None:
        """The pod is in its training stage, until the operator has shown it or for some seconds."""
        job = self.job_of(pod)
        self.trainings[job["metadata"]["ownerReferences"][0]["uid"]] += 1
        await self.report(pod, "Running", {stage: ok() for stage in STAGES[:3]} | {"train": RUNNING})
        loop = asyncio.get_running_loop()
        until = loop.time() + SHOWN_SECONDS
        while loop.time() < until:
            run = self._seen.objects["TrainingRun"].get(run_of_pod(pod), {})
            if condition(run)[1] == "Training":
                return
            await self._seen.changed(until - loop.time())

    def publish(self, pod: Object) -> None:
        """What the last stage leaves in the bucket."""
        annotations = self.job_of(pod)["metadata"]["annotations"]
        content = {"sha256": SHA256, "metrics": {"testAccuracy": 0.91, "testCount": 30}, "lineage": {}}
        name = f"models/cats-dogs/{annotations[LIFE + 'version']}/model.json"
        self._buckets.objects[annotations[LIFE + "bucket"]][name] = json.dumps(content).encode()

    def job_of(self, pod: Object) -> Object:
        """The Job that made the pod."""
        return self._seen.jobs[pod["metadata"]["ownerReferences"][0]["uid"]]


def run_of_pod(pod: Object) -> str:
    """The name of the run that a pod belongs to."""
    return str(pod["metadata"]["labels"]["app.kubernetes.io/instance"])


async def waits(kubelet: Kubelet, pod: Object) -> None:
    """No node takes the pod."""


async def trains(kubelet: Kubelet, pod: Object) -> None:
    """All stages end well."""
    await kubelet.train(pod)
    await completes(kubelet, pod)


async def completes(kubelet: Kubelet, pod: Object) -> None:
    """A pod that trains ends well."""
    kubelet.publish(pod)
    states = {stage: ok() for stage in STAGES}
    states["evaluate"] = ok(sha256=SHA256, testAccuracy=0.91, testCount=30)
    await kubelet.report(pod, "Succeeded", states)


async def holds(kubelet: Kubelet, pod: Object) -> None:
    """It trains until it is deleted."""
    await kubelet.train(pod)


async def finds_bad_data(kubelet: Kubelet, pod: Object) -> None:
    """Ingest ends with a user's mistake."""
    said = json.dumps({"ok": False, "reason": "DataError", "message": "Dog/ is empty", "hint": "Add dogs"})
    await kubelet.report(pod, "Failed", {"ingest": ended(65, said)})


async def runs_out_of_memory(kubelet: Kubelet, pod: Object) -> None:
    """The training is killed."""
    await kubelet.train(pod)
    await kubelet.report(
        pod, "Failed", {**{stage: ok() for stage in STAGES[:3]}, "train": ended(137, reason="OOMKilled")}
    )


async def lacks_its_image(kubelet: Kubelet, pod: Object) -> None:
    """No node can pull the image: said again and again, since the scheduler, which has no node, objects."""
    scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    words = {"waiting": {"reason": "ErrImagePull", "message": "localhost:5000/x: not found"}}
    while True:
        await kubelet.report(pod, "Pending", {"ingest": words}, conditions=[scheduled])
        await asyncio.sleep(SHOWN_SECONDS)


async def is_preempted(kubelet: Kubelet, pod: Object) -> None:
    """Something more important takes its place in the middle of the training."""
    await kubelet.train(pod)
    disruption = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "PreemptionByScheduler",
        "message": "preempted by something more important",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    states = {**{stage: ok() for stage in STAGES[:3]}, "train": ended(143)}
    await kubelet.report(pod, "Failed", states, conditions=[disruption])
