"""The operator's Role, right by right, and a piece of work that needs each of them.

The work goes through runs and a model server; what it proves is said by the tests that do it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import yaml

from tests.integration.world import ROOT
from tests.reliability.operator import kubelet
from tests.reliability.operator.api import Object
from tests.reliability.operator.calls import Call, Fault
from tests.reliability.operator.world import TroubleError, World

CHILDREN = ("Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy", "HTTPRoute", "PodMonitoring")
UNJUDGED = {"gate": {"policy": "None"}, "smoke": {"policy": "None"}}
ROUTE = {"gateway": "public", "hostname": "pets.example.com"}
SERVER = {"apiVersion": "mlops.cats-dogs.io/v1alpha1", "kind": "ModelServer", "metadata": {"name": "server"}}
# The server's status is refused once, so that the operator has to read it anew.
CONFLICT = Fault("409", Call("patch", "modelservers/status"))


def role() -> Object:
    """The Role as it is installed."""
    documents = yaml.safe_load_all((ROOT / "deploy/workloads/role.yaml").read_text())
    return next(document for document in documents if document["kind"] == "Role")


def rights() -> Iterator[Call]:
    """Each verb on each resource that the Role allows."""
    for rule in role()["rules"]:
        for resource in rule["resources"]:
            yield from (Call(verb, resource) for verb in rule["verbs"])


def role_without(right: Call) -> Object:
    """The Role with that one right taken away."""
    found = copy.deepcopy(role())
    rules = []
    for rule in found["rules"]:
        if right.resource in rule["resources"] and right.verb in rule["verbs"]:
            others = [resource for resource in rule["resources"] if resource != right.resource]
            verbs = [verb for verb in rule["verbs"] if verb != right.verb]
            rules += [{**rule, "resources": others}] if others else []
            rules += [{**rule, "resources": [right.resource], "verbs": verbs}] if verbs else []
        else:
            rules.append(rule)
    return {**found, "rules": rules}


async def work(world: World) -> None:
    """Runs that train, that have to be given up, and whose Job can make no pod; a model server with and without an
    autoscaler, and one whose candidate is started and, when it is stopped, taken away again."""
    world.kubelet.scripts["no-image"] = [kubelet.lacks_its_image]
    await world.create("good")
    await world.create("no-image", parameters={"seed": 2})
    await world.create("no-class", parameters={"seed": 3}, priorityClassName="nobody-has-it")
    await world.until("the ends", lambda: world.finished("good") and world.finished("no-image"))
    await world.until("why there is no pod", lambda: "nobody-has-it" in str(world.run("no-class").get("status")))
    await world.delete("no-class")
    source = {"modelFrom": {"trainingRun": "good"}}
    given = {**source, **UNJUDGED, "expose": {"route": ROUTE}, "autoscaling": {"maxReplicas": 3}}
    await world.api.create(world.namespace, {**SERVER, "spec": given})
    await world.api.create(world.namespace, {**SERVER, "metadata": {"name": "judged"}, "spec": source})
    await _children(world, (*CHILDREN, "HorizontalPodAutoscaler"))
    await world.api.patch("ModelServer", world.namespace, "server", {"spec": {"autoscaling": None, "replicas": 2}})
    await world.until_async("no autoscaler", lambda: _gone(world, "HorizontalPodAutoscaler"))
    await world.until_async("a candidate", lambda: _there(world, "Deployment", "judged-candidate"))
    await world.api.patch("ModelServer", world.namespace, "judged", {"spec": {"stop": True}})
    await world.until_async("no candidate", lambda: _gone(world, "Deployment", "judged-candidate"))
    await world.until("the Job goes in time", lambda: "ttlSecondsAfterFinished" in _job(world).get("spec", {}))
    await world.until("no Job", lambda: "no-image" not in world.seen.objects["Job"])


async def _children(world: World, kinds: tuple[str, ...]) -> None:
    async def there() -> bool:
        return all([await world.api.get(kind, world.namespace, "server") for kind in kinds])

    await world.until_async(f"{kinds} are there", there)


async def _there(world: World, kind: str, name: str) -> bool:
    return await world.api.get(kind, world.namespace, name) is not None


async def _gone(world: World, kind: str, name: str = "server") -> bool:
    return await world.api.get(kind, world.namespace, name) is None


def _job(world: World) -> Object:
    return world.seen.objects["Job"].get("good", {})


async def refused(world: World, right: Call) -> str:
    """Work without a right until the operator is refused; returns the API server's words about it, or ""."""
    words = f'cannot {right.verb} resource "{right.resource.partition("/")[0]}'

    def told() -> str:
        return next((refusal for refusal in world.proxy.refusals if words in refusal), "")

    async def worked() -> None:
        with suppress(TroubleError):
            await work(world)

    doing: Any = world.background(worked())
    with suppress(TroubleError):
        await world.until("a refusal", lambda: told() or doing.done())
    return told()
