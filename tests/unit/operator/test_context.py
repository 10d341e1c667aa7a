"""What the operator hears of: who gets a pass for it, who does not, and what lists put right."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from kubernetes.aio.dynamic.exceptions import api_exception

from mlops_operator.api.settings import Settings
from mlops_operator.bucket import Bucket
from mlops_operator.cluster import ApiException, Cluster
from mlops_operator.handlers.background import post_events, relist
from mlops_operator.handlers.context import NAME_REST_SECONDS, Context
from mlops_operator.handlers.execute import StaleError, apply_children
from mlops_operator.handlers.execute import post_events as leave_events
from mlops_operator.handlers.queue import Key, WorkQueue
from mlops_operator.reconcile.plan import Event, Plan

RUN, SERVER = Key("TrainingRun", "team", "demo"), Key("ModelServer", "team", "api")
DEMO = ("team", "demo")


class Queue(WorkQueue):
    """Notes who asked for a pass."""

    def __init__(self) -> None:
        self.asked: list[Key] = []
        self.later: list[tuple[Key, float]] = []

    def add(self, key: Key) -> None:
        self.asked.append(key)

    def add_after(self, key: Key, seconds: float) -> None:
        self.later.append((key, seconds))

    def take(self) -> list[Key]:
        asked, self.asked = self.asked, []
        return asked


class Listed:
    """A cluster that only lists: pages by kind."""

    def __init__(self, **pages: list[list[dict[str, Any]]]) -> None:
        self.of = pages

    async def serves(self, *_: str) -> bool:
        return False

    async def pages(self, _: str, kind: str, *__: Any) -> AsyncIterator[list[dict[str, Any]]]:
        for page in self.of.get(kind, []):
            yield page


def context(cluster: Listed | None = None) -> tuple[Context, Queue]:
    queue = Queue()
    settings = Settings(namespaces=("team",))
    return Context(settings, cast(Cluster, cluster), cast(Bucket, None), queue), queue


def item(kind: str, name: str, version: int, uid: str = "u", **more: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "team", "uid": uid, "resourceVersion": str(version)}
    return {"kind": kind, "metadata": metadata, **more}


def job(version: int) -> dict[str, Any]:
    found = item("Job", "demo", version)
    found["metadata"]["ownerReferences"] = [{"kind": "TrainingRun", "name": "demo"}]
    return found


def ended(version: int, status: str = "True") -> dict[str, Any]:
    conditions = [{"type": kind, "status": status, "reason": "Completed"} for kind in ("Succeeded", "Finished")]
    return item("TrainingRun", "demo", version, status={"conditions": conditions})


def test_what_is_known_already_asks_for_no_pass() -> None:
    here, queue = context()
    here.seen("ADDED", item("TrainingRun", "demo", 1))
    here.seen("ADDED", job(2))
    assert queue.take() == [RUN, RUN]
    here.seen("MODIFIED", job(2))
    here.seen("MODIFIED", job(1))
    assert queue.take() == []
    here.seen("DELETED", job(3))
    assert queue.take() == [RUN]


def test_an_own_write_is_news_once_and_to_model_servers_too() -> None:
    here, queue = context()
    here.seen("ADDED", item("TrainingRun", "demo", 1))
    here.seen("ADDED", item("ModelServer", "api", 1))
    queue.take()
    here.wrote(ended(2))
    assert queue.take() == [RUN, SERVER]
    here.seen("MODIFIED", ended(2))
    assert queue.take() == []


def test_the_answer_to_a_write_does_not_revive_what_was_deleted() -> None:
    here, queue = context()
    here.wrote(ended(2))
    here.seen("ADDED", item("TrainingRun", "demo", 3, uid="another"))
    queue.take()
    here.wrote(ended(2))
    assert queue.take() == []
    assert here.store.get(*RUN) == item("TrainingRun", "demo", 3, uid="another")


def test_the_name_of_a_job_rests_once_it_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.5]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    here, _ = context()
    here.seen("ADDED", job(1))
    assert here.name_rests(*DEMO) == 0.0
    here.seen("DELETED", job(2))
    assert here.name_rests(*DEMO) == NAME_REST_SECONDS
    here.forget_absent()
    clock[0] += NAME_REST_SECONDS - 0.5
    assert here.name_rests(*DEMO) == 0.5
    clock[0] += 0.5
    here.forget_absent()
    assert (here.name_rests(*DEMO), here.freed) == (0.0, {})


async def test_a_job_is_made_again_when_its_name_has_rested() -> None:
    body = item("Job", "api-judge", 0)
    body["metadata"]["ownerReferences"] = [{"kind": "ModelServer", "name": "api"}]

    class Applies(Listed):
        made = 0

        async def apply(self, _: Any) -> Any:
            self.made += 1
            return {**body, "metadata": {**body["metadata"], "uid": "new"}}

    cluster = Applies()
    here, queue = context(cluster)
    here.seen("ADDED", body)
    here.seen("DELETED", body)
    await apply_children(here, Plan(apply=(body,)))
    assert cluster.made == 0
    assert [key for key, seconds in queue.later if 0 < seconds <= NAME_REST_SECONDS] == [SERVER]
    here.freed["team", "api-judge"] -= NAME_REST_SECONDS
    await apply_children(here, Plan(apply=(body,)))
    assert cluster.made == 1


def deployment(generation: int) -> dict[str, Any]:
    found = item("Deployment", "api", 10 * generation)
    owner = {"kind": "ModelServer", "name": "api"}
    found["metadata"] |= {"generation": generation, "ownerReferences": [owner]}
    return found


class Live(Listed):
    """A cluster with one Deployment, or none, and its ModelServer; it takes whatever is applied."""

    def __init__(self, live: dict[str, Any] | None, server: dict[str, Any]) -> None:
        super().__init__()
        self.live, self.server, self.asked, self.applied = live, server, 0, 0

    async def read(self, *where: str) -> dict[str, Any]:
        assert where == ("mlops.cats-dogs.io/v1alpha1", *SERVER)
        return self.server

    async def list(self, *_: str, field_selector: str) -> list[dict[str, Any]]:
        assert field_selector == "metadata.name=api"
        self.asked += 1
        return [self.live] if self.live else []

    async def apply(self, body: dict[str, Any]) -> dict[str, Any]:
        self.applied += 1
        return deployment(9)


def server(version: int) -> dict[str, Any]:
    return {"apiVersion": "mlops.cats-dogs.io/v1alpha1", **item("ModelServer", "api", version)}


@pytest.mark.parametrize(
    ("stored", "live", "owner", "stale"),
    [
        (1, 1, 5, False),
        (None, None, 5, False),
        (1, 2, 5, True),
        (None, 2, 5, True),
        (1, None, 5, True),
        (1, 1, 6, True),  # what was decided since stands in the owner's status
    ],
)
async def test_a_deployment_is_first_written_only_as_it_and_its_owner_were_seen(
    stored: int | None, live: int | None, owner: int, stale: bool
) -> None:
    cluster = Live(deployment(live) if live else None, server(owner))
    here, _ = context(cluster)
    here.store.put(server(5))
    if stored:
        here.store.put(deployment(stored))
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": deployment(1)["metadata"]}
    if stale:
        with pytest.raises(StaleError, match="Deployment api or its owner has changed since it was listed"):
            await apply_children(here, Plan(apply=(body,)))
        assert here.store.get("Deployment", "team", "api") == cluster.live
        assert here.store.get(*SERVER) == cluster.server
    await apply_children(here, Plan(apply=(body,)))
    await apply_children(here, Plan(apply=({**body, "spec": {"replicas": 2}},)))
    assert (cluster.asked, cluster.applied) == (2 if stale else 1, 2)


async def test_a_list_puts_right_what_watches_missed() -> None:
    gone, kept, new = (item("TrainingRun", name, 1) for name in ("gone", "kept", "new"))
    here, queue = context(Listed(TrainingRun=[[kept], [new]]))
    here.seen("ADDED", gone)
    here.seen("ADDED", kept)
    queue.take()
    await relist(here)
    assert {run["metadata"]["name"] for run in here.store.all("TrainingRun", "team")} == {"kept", "new"}
    assert {key.name for key in queue.take()} == {"gone", "kept", "new"}


async def test_a_list_leaves_ended_runs_alone_unless_it_has_news_of_them() -> None:
    cluster = Listed(TrainingRun=[[ended(2)]])
    here, queue = context(cluster)
    here.seen("ADDED", ended(2))
    queue.take()
    await relist(here)
    assert queue.take() == []
    cluster.of["Job"] = [[job(3)]]
    await relist(here)
    assert queue.take() == [RUN]


async def test_what_came_while_the_list_was_read_is_kept() -> None:
    here, _ = context()

    class Slow(Listed):
        async def pages(self, _: str, kind: str, *__: Any) -> AsyncIterator[list[dict[str, Any]]]:
            if kind == "TrainingRun":
                here.seen("ADDED", item("TrainingRun", "meanwhile", 9))
                here.seen("DELETED", item("TrainingRun", "again", 1))
                here.seen("ADDED", item("TrainingRun", "again", 8, uid="second"))
                yield []

    here.cluster = cast(Cluster, Slow())
    here.seen("ADDED", item("TrainingRun", "again", 1))
    await relist(here)
    assert {run["metadata"]["uid"] for run in here.store.all("TrainingRun", "team")} == {"u", "second"}


async def test_events_are_posted_apart_from_the_passes_and_a_refused_one_holds_up_none() -> None:
    posted: list[Any] = []
    done = asyncio.Event()

    class Refusing(Listed):
        async def create(self, body: dict[str, Any]) -> None:
            posted.append(body["reason"])
            if body["reason"] == "Pending":
                raise api_exception(ApiException(status=409, reason="Conflict"))
            if body["reason"] == "Training":
                raise ApiException(status=503, reason="Unavailable")
            done.set()

    here, _ = context(Refusing())
    events = tuple(Event("Normal", reason, "as told") for reason in ("Pending", "Training", "Completed"))
    run = {**item("TrainingRun", "demo", 1), "apiVersion": "mlops.cats-dogs.io/v1alpha1"}
    leave_events(here, run, Plan(events=events), datetime.now(UTC))
    assert posted == []
    task = asyncio.create_task(post_events(here))
    async with asyncio.timeout(10):
        await done.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert posted == ["Pending", "Training", "Completed"]
