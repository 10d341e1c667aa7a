"""Which trainers are asked how far they are, and that it is done in turns."""

import asyncio
from typing import Any

import aiohttp
import pytest
from prometheus_client import REGISTRY

from mlops_operator import progress, serving, tracking
from mlops_operator.api.gate import Traffic
from mlops_operator.api.model_server import Recorded
from mlops_operator.handlers import polling
from mlops_operator.handlers.polling import Trainer, poll_progress, running
from mlops_operator.handlers.queue import Key
from tests.unit.operator.test_context import context, ended, item
from tests.unit.operator.training_run_world import SETTINGS

READY = [{"type": "Ready", "status": "True"}]
LABELS = {"app.kubernetes.io/name": "cats-dogs-trainer"}


def pod(run: str, phase: str = "Running", **labels: str) -> dict[str, Any]:
    stage = {"name": "ingest", "state": {"running": {}}}
    status = {"phase": phase, "podIP": f"10.0.0.{len(run)}", "initContainerStatuses": [stage]}
    found = item("Pod", f"{run}-{phase}", 1, status=status)
    found["metadata"]["labels"] = {**LABELS, "app.kubernetes.io/instance": run, **labels}
    return found


def test_the_pods_of_runs_that_go_on_are_asked() -> None:
    here, _ = context()
    for name in ("a", "bb"):
        here.store.put(item("TrainingRun", name, 1, uid=f"u-{name}"))
    here.store.put(ended(1))
    for seen in (
        pod("a", "Failed"),
        pod("a", "Pending"),
        pod("bb"),
        pod("demo"),
        pod("unknown"),
        pod("server", **{"app.kubernetes.io/name": "cats-dogs-server"}),
    ):
        here.store.put(seen)
    assert running(here) == [
        Trainer(Key("TrainingRun", "team", "a"), "u-a", "Ingest", "10.0.0.1"),
        Trainer(Key("TrainingRun", "team", "bb"), "u-bb", "Ingest", "10.0.0.2"),
    ]


async def test_they_are_asked_one_after_the_other_and_what_is_over_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here, queue = context()
    asked: list[str] = []
    waits: list[float] = []
    twice = asyncio.Event()

    async def ask(_: aiohttp.ClientSession, address: str, stage: str) -> progress.Progress | None:
        asked.append(address)
        if len(asked) == 4:
            twice.set()
        return progress.clean({"stage": "ingest"}, stage, progress.datetime.now(progress.UTC))

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        await real(0)

    real = asyncio.sleep
    monkeypatch.setattr(progress, "ask", ask)
    monkeypatch.setattr(polling.asyncio, "sleep", sleep)
    here.progress = {"u-over": progress.Progress("Train", progress.datetime.now(progress.UTC))}
    for name in ("a", "bb"):
        here.store.put(item("TrainingRun", name, 1, uid=f"u-{name}"))
        here.store.put(pod(name))
    task = asyncio.create_task(poll_progress(here))
    async with asyncio.timeout(10):
        await twice.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert asked[:4] == ["10.0.0.1", "10.0.0.2"] * 2
    assert set(waits) == {1.5}
    assert set(here.progress) == {"u-a", "u-bb"}
    assert queue.take()[:2] == [Key("TrainingRun", "team", "a"), Key("TrainingRun", "team", "bb")]


async def test_a_server_pod_is_asked_for_what_prometheus_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    here, _ = context()
    here.store.put(item("ModelServer", "pets", 1))
    for name in ("pets-1", "pets-2"):
        found = item("Pod", name, 1, uid=f"u-{name}", status={"podIP": name, "conditions": READY})
        found["metadata"]["labels"] = {
            "app.kubernetes.io/name": "cats-dogs-api",
            "app.kubernetes.io/instance": "pets",
        }
        here.store.put(found)

    async def traffic(_: aiohttp.ClientSession, address: str) -> Traffic:
        assert address == "pets-2"
        return Traffic(2)

    monkeypatch.setattr(serving, "traffic", traffic)
    async with aiohttp.ClientSession() as session:
        await polling.look_at_servers(here, session, {("team", "pets-1"): Traffic(1), ("team", "other"): Traffic(9)})
    assert here.traffic == {"u-pets-1": Traffic(1), "u-pets-2": Traffic(2)}


async def test_why_a_server_pod_is_not_ready_is_told_and_asks_for_a_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    here, queue = context()
    here.store.put(item("ModelServer", "pets", 1))
    answers = {"a": ("failed", "wrong file"), "b": ("waiting", "no bucket"), "c": ("healthy", ""), "d": ("", "")}
    for name in answers:
        found = item("Pod", name, 1, uid=f"u-{name}", status={"podIP": name})
        found["metadata"]["labels"] = {
            "app.kubernetes.io/name": "cats-dogs-candidate",
            "app.kubernetes.io/instance": "pets",
        }
        here.store.put(found)

    async def health(_: aiohttp.ClientSession, address: str) -> tuple[str, str]:
        return answers[address]

    monkeypatch.setattr(serving, "health", health)
    async with aiohttp.ClientSession() as session:
        await polling.look_at_servers(here, session)
        assert queue.take() == [Key("ModelServer", "team", "pets")] * 2
        await polling.look_at_servers(here, session)
    assert (here.complaints, here.excuses) == ({"u-a": "wrong file"}, {"u-b": "no bucket"})
    assert queue.take() == []


async def test_whether_mlflow_answers_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter((True, False))
    told: list[float | None] = []

    async def asked(server: str) -> bool:
        assert server == "http://mlflow-service:5000"
        return next(answers)

    async def told_so_far(_: float) -> None:
        told.append(REGISTRY.get_sample_value("mlops_operator_dependency_up", {"dependency": "mlflow"}))
        if len(told) == 2:
            raise asyncio.CancelledError

    monkeypatch.setattr(tracking, "answers", asked)
    monkeypatch.setattr(polling.asyncio, "sleep", told_so_far)
    here, _ = context()
    here.settings = SETTINGS
    with pytest.raises(asyncio.CancelledError):
        await polling.watch_mlflow(here)
    assert told == [1.0, 0.0]


async def test_where_there_is_no_mlflow_none_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async def asked(_: str) -> bool:
        raise AssertionError("asked")

    async def once(_: float) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(tracking, "answers", asked)
    monkeypatch.setattr(polling.asyncio, "sleep", once)
    here, _ = context()
    assert not here.settings.mlflow_tracking_uri
    with pytest.raises(asyncio.CancelledError):
        await polling.watch_mlflow(here)


async def test_when_mlflow_is_back_the_alias_that_it_did_not_take_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([True, False, True])

    async def asked(_: str) -> bool:
        try:
            return next(answers)
        except StopIteration:
            raise asyncio.CancelledError from None

    monkeypatch.setattr(tracking, "answers", asked)
    monkeypatch.setattr(polling, "MLFLOW_SECONDS", 0)
    here, queue = context()
    here.settings = SETTINGS
    for name in ("pets", "others"):
        here.store.put(item("ModelServer", name, 1, uid=f"u-{name}"))
    kept = Recorded(2, "", tracking.SET)
    here.recorded = {"u-pets": Recorded(3, "", "MLflow does not take the alias: refused"), "u-others": kept}
    with pytest.raises(asyncio.CancelledError):
        await polling.watch_mlflow(here)
    assert here.recorded == {"u-others": kept}
    assert queue.take() == [Key("ModelServer", "team", "pets")]
