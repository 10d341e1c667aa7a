"""ModelServers among others, left alone, and as the examples show them: on a real API server with its controllers.

What happens goes on side by side, with pretended kubelets (tests/reliability/operator); the tests look at the end.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from devcluster.cluster import Cluster
from mlops_operator.builders.common import MANAGER
from mlops_operator.builders.judge import APP as JUDGE
from tests.integration.world import ROOT, Kubectl, condition
from tests.reliability.operator import servers
from tests.reliability.operator.api import Object
from tests.reliability.operator.kubelet import Kubelet
from tests.reliability.operator.world import IMAGE, House, World, house

PATIENCE = 150.0
A, B = servers.MODELS["run-a"], servers.MODELS["run-b"]
OWNED = (*servers.CHILDREN, "Job", "Pod")
ONE, TWO = {"team": "one"}, {"team": "two"}
Told = Mapping[str, Any]


@pytest.fixture(scope="module")
def told(control_plane: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Told:
    """What came of each story, by its name."""
    stories = {"apart": apart, "left": left_alone, "examples": examples}

    async def all_of_them() -> list[Any]:
        async with house(control_plane, tmp_path_factory.mktemp("operators")) as shared:
            shared.patience = PATIENCE
            return await asyncio.gather(*(story(shared, control_plane) for story in stories.values()))

    return dict(zip(stories, asyncio.run(all_of_them()), strict=True))


def furnish(*worlds: World) -> None:
    """Models that were trained before, and pods that serve and judge."""
    for world in worlds:
        world.kubelet.apps = servers.LIVES
        servers.publish(world.buckets, world.namespace, IMAGE)


async def run(world: World, name: str, labels: Mapping[str, str], model: str) -> None:
    """A run that has the model of `model` at once."""
    await world.create(name, labels, parameters={"seed": servers.seed_of(model)})


async def served(world: World, server: str, by: str, sha256: str) -> None:
    """Wait until the server is through with the run `by` and serves this digest."""
    wanted = (by, sha256, "Served")
    await world.until(f"{server} serves {by}", lambda: servers.stands(world.server(server)) == wanted)


def children(world: World, server: str, kinds: Iterable[str] = OWNED) -> dict[str, Object]:
    """What there is of one server, by kind and name."""
    instance = "app.kubernetes.io/instance"
    return {
        f"{kind} {name}": item
        for kind in kinds
        for name, item in world.seen.objects[kind].items()
        if item["metadata"].get("labels", {}).get(instance) == server
    }


# Several servers


async def apart(shared: House, _: Cluster) -> Told:
    """All that can happen to one server happens to `two`, beside one of the namespace and one elsewhere."""
    async with shared.world(operated=False) as there, shared.world(also=there.namespace) as here:
        furnish(here, there)
        for world, name, labels in ((here, "one", ONE), (here, "two", TWO), (there, "one", ONE)):
            await world.api.create(world.namespace, servers.body(name, labels))
            await run(world, f"{name}-a", labels, "run-a")
        for world, name in ((here, "one"), (here, "two"), (there, "one")):
            await served(world, name, f"{name}-a", A)
            await world.until("it is written down", lambda w=world, n=name: "ledger" in w.server(n)["status"])
        before = writes_to(here, "one"), writes_to(there, "one")
        await run(here, "two-b", TWO, "run-b")
        await served(here, "two", "two-b", B)
        await change(here, "two", rollbackTo="1")
        await served(here, "two", "two-a", A)
        await change(here, "two", rollbackTo=None, replicas=3)
        await here.until("three pods", lambda: pods(here, "two") == 3)
        await change(here, "two", stop=True)
        await here.until("no pod", lambda: pods(here, "two") == 0)
        await here.api.delete("ModelServer", here.namespace, "two")
        await here.until("nothing of it", lambda: not children(here, "two"))
        return {"before": before, "after": (writes_to(here, "one"), writes_to(there, "one"))}


async def change(world: World, name: str, **spec: Any) -> None:
    await world.api.patch("ModelServer", world.namespace, name, {"spec": spec})


def pods(world: World, server: str) -> int:
    return len(children(world, server, ("Pod",)))


def writes_to(world: World, name: str) -> Told:
    """The server itself, and of each child which object it is and when the operator last wrote to it."""
    found = {
        where: (item["metadata"]["uid"], [entry["time"] for entry in managed(item) if entry["manager"] == MANAGER])
        for where, item in children(world, name).items()
    }
    return {"server": world.server(name), **found}


def managed(item: Object) -> list[Object]:
    entries: list[Object] = item["metadata"].get("managedFields", [])
    return entries


def test_servers_do_not_touch_each_other(told: Told) -> None:
    before, after = told["apart"]["before"], told["apart"]["after"]
    kinds = {"server", *(f"{kind} one" for kind in servers.CHILDREN), "NetworkPolicy one-candidate"}
    for here in before:
        assert {where for where in here if not where.startswith("Pod ")} == kinds
    assert after == before


# A server that is deleted while nobody looks


async def left_alone(shared: House, _: Cluster) -> Told:
    """It is deleted without an operator, in the middle of a trial; then an operator comes back."""
    async with shared.world() as world:
        furnish(world)
        world.kubelet.apps = {**servers.LIVES, JUDGE: judges_the_first}
        await world.api.create(world.namespace, servers.body("alone", ONE))
        await run(world, "alone-a", ONE, "run-a")
        await served(world, "alone", "alone-a", A)
        await run(world, "alone-b", ONE, "run-b")
        await world.until("a judge at work", lambda: {"Deployment alone-candidate", "Job alone-judge"} <= owned(world))
        await world.until("its pods", lambda: len(children(world, "alone", ("Pod",))) == 3)
        await world.dismiss()
        there = {"ModelServer alone": world.server("alone"), **children(world, "alone", OWNED)}
        await world.api.delete("ModelServer", world.namespace, "alone")
        await world.until("nothing is left", lambda: not world.server("alone") and not owned(world))
        starts = world.starts
        world.hire()
        await world.until("an operator", lambda: world.starts > starts)
        await asyncio.sleep(4)
        return {"there": there, "left": owned(world)}


async def judges_the_first(kubelet: Kubelet, pod: Object) -> None:
    if servers.told(pod)["GATE_CANDIDATE_SHA256"] == A:
        await servers.judges(kubelet, pod)


def owned(world: World) -> set[str]:
    return set(children(world, "alone"))


def test_a_server_deleted_without_an_operator_leaves_nothing(told: Told) -> None:
    there = told["left"]["there"]
    assert {"Deployment alone", "Deployment alone-candidate", "Job alone-judge", "Service alone"} <= set(there)
    # A pod of a Job waits for the Job's controller to count it; nothing else may be held up by anybody.
    held = {where for where, item in there.items() if item["metadata"].get("finalizers")}
    assert {where for where in held if not where.startswith("Pod alone-judge")} == set()
    assert told["left"]["left"] == set()


# The examples


async def examples(shared: House, control_plane: Cluster) -> Told:
    """Each is applied as it stands, in a namespace of this test's; only the watch after a roll is cut short."""
    async with shared.world() as world:
        furnish(world)
        await run(world, "cats-dogs-demo", {"app": "cats-dogs"}, "run-a")
        await world.until("the run has ended", lambda: world.finished("cats-dogs-demo"))
        model = world.run("cats-dogs-demo")["status"]["model"]
        apply = Applier(Kubectl(control_plane, world.namespace), model)
        for name in ("02-modelserver", "10-follow-a-label", "11-pin-a-model", "13-autoscale", "14-gateway"):
            await apply(name)
        for name in ("api", "newest", "scaled", "routed"):
            await served(world, f"cats-dogs-{name}", "cats-dogs-demo", A)
        await served(world, "cats-dogs-pinned", "", A)
        await run(world, "next", {"app": "cats-dogs"}, "run-b")
        newest = "cats-dogs-newest"
        await world.until("it is watched", lambda: condition(world.server(newest), "Settled") == ("False", "Watching"))
        watched = world.server(newest)
        await change(world, newest, watch={"windowSeconds": 0})
        await served(world, newest, "next", B)
        await change(world, "cats-dogs-api", modelFrom={"trainingRun": "next"}, watch={"windowSeconds": 0})
        await served(world, "cats-dogs-api", "next", B)
        await apply("12-roll-back")
        await served(world, "cats-dogs-api", "cats-dogs-demo", A)
        found = {
            (kind, name): await world.api.get(kind, world.namespace, name)
            for kind in ("Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler", "HTTPRoute")
            for name in ("cats-dogs-scaled", "cats-dogs-routed")
        }
        servers_ = dict(world.seen.objects["ModelServer"])
        return {"servers": servers_, "children": found, "model": model, "watched": watched}


class Applier:
    """`kubectl apply` of an example, with the file and digest put in that its comment asks for."""

    def __init__(self, kubectl: Kubectl, model: Mapping[str, str]) -> None:
        self._kubectl, self._model = kubectl, model

    async def __call__(self, name: str) -> None:
        text = (ROOT / "examples" / f"{name}.yaml").read_text()
        text = text.replace("namespace: cats-dogs", f"namespace: {self._kubectl.namespace}")
        text = text.replace("gs://cats-dogs/models/cats-dogs/0123456789ab/model.pt", self._model["uri"])
        await asyncio.to_thread(self._kubectl, "apply", "-f", "-", given=text.replace("0" * 64, self._model["sha256"]))


def test_10_follows_a_label(told: Told) -> None:
    watched, status = told["examples"]["watched"], told["examples"]["servers"]["cats-dogs-newest"]["status"]
    assert (watched["spec"]["watch"]["windowSeconds"], watched["status"]["model"]["sha256"]) == (300, B)
    assert (status["decidedFor"], status["model"]["sha256"], status["gate"]["verdict"]) == ("next", B, "Accepted")
    assert [(entry["trainingRun"], entry["outcome"]) for entry in status["history"]] == [
        ("next", "Served"),
        ("cats-dogs-demo", "Served"),
    ]


def test_11_serves_the_file_that_is_named(told: Told) -> None:
    status, model = told["examples"]["servers"]["cats-dogs-pinned"]["status"], told["examples"]["model"]
    assert (status["model"]["uri"], status["model"]["sha256"]) == (model["uri"], model["sha256"])
    assert [entry["outcome"] for entry in status["history"]] == ["Served"]


def test_12_goes_back(told: Told) -> None:
    server = told["examples"]["servers"]["cats-dogs-api"]
    decided = [(entry["number"], entry["sha256"], entry["reason"]) for entry in server["status"]["history"]]
    assert decided == [(3, A, "RolledBackByHand"), (2, B, "Accepted"), (1, A, "Accepted")]
    assert [entry["sha256"] for entry in server["status"]["quarantine"]] == [B]


def test_13_lets_an_autoscaler_decide(told: Told) -> None:
    children = told["examples"]["children"]
    scaler = children["HorizontalPodAutoscaler", "cats-dogs-scaled"]["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (2, 6)
    assert scaler["metrics"][0]["resource"]["target"] == {"type": "Utilization", "averageUtilization": 70}
    assert children["PodDisruptionBudget", "cats-dogs-scaled"]["spec"]["maxUnavailable"] == 1
    assert told["examples"]["servers"]["cats-dogs-scaled"]["status"]["readyReplicas"] == 2


def test_14_asks_a_gateway(told: Told) -> None:
    server, children = told["examples"]["servers"]["cats-dogs-routed"], told["examples"]["children"]
    route = children["HTTPRoute", "cats-dogs-routed"]["spec"]
    assert route["parentRefs"] == [{"name": "external-http", "namespace": "public"}]
    assert route["hostnames"] == ["pets.example.com"]
    assert json.dumps(route["rules"]).count('"cats-dogs-routed"') == 1
    assert children["Service", "cats-dogs-routed"]["spec"]["type"] == "ClusterIP"
    assert (server["status"]["url"], condition(server, "Routed")) == (
        "http://pets.example.com/",
        ("True", "HTTPRouteApplied"),
    )
