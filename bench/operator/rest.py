"""The fastest client of the API server that Python gives: bare HTTP, JSON in and out. It decides nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from kubernetes.aio import client, config
from kubernetes.aio.client.rest import RESTClientObject

TRAINING_RUNS = "/apis/mlops.cats-dogs.io/v1alpha1/namespaces/{}/trainingruns"
JOBS = "/apis/batch/v1/namespaces/{}/jobs"
PODS = "/api/v1/namespaces/{}/pods"
MERGE = "application/merge-patch+json"
AT_ONCE = 16
Object = dict[str, Any]


class Api:
    """One API server, as the user of a kubeconfig."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session

    async def call(self, verb: str, path: str, body: Any = None, kind: str = "application/json") -> Object:
        """The answer's JSON; raises RuntimeError with the server's words unless it is 2xx."""
        data = None if body is None else json.dumps(body).encode()
        async with self.session.request(verb, path, data=data, headers={"Content-Type": kind}) as answer:
            text = await answer.read()
            if answer.status >= 300:
                raise RuntimeError(f"{verb} {path}: {answer.status} {text[:400].decode(errors='replace')}")
            found: Object = json.loads(text)
            return found

    async def list(self, path: str) -> tuple[list[Object], str]:
        """All objects under `path` and the version to watch from."""
        found = await self.call("GET", path)
        return found["items"], found["metadata"]["resourceVersion"]

    async def watch(self, path: str, version: str) -> AsyncIterator[bytes]:
        """The lines of a watch, unparsed, until cancelled."""
        query = f"{path}?watch=1&resourceVersion={version}"
        async with self.session.get(query, timeout=aiohttp.ClientTimeout(total=None)) as answer:
            rest = b""
            async for chunk in answer.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield line


@asynccontextmanager
async def connect(kubeconfig: Path) -> AsyncIterator[Api]:
    """The API server, and its user, that a kubeconfig names."""
    found = client.Configuration()
    await config.load_kube_config(config_file=str(kubeconfig), client_configuration=found)  # type: ignore[no-untyped-call]
    connector = aiohttp.TCPConnector(limit=64, ssl=RESTClientObject(found).ssl_context)
    headers = {"Authorization": token} if (token := found.api_key.get("BearerToken")) else {}
    async with aiohttp.ClientSession(found.host, connector=connector, headers=headers) as session:
        yield Api(session)


async def each(items: Iterable[Any], work: Callable[[Any], Awaitable[Any]]) -> None:
    """Do `work` for all items, AT_ONCE at a time."""
    waiting = iter(items)

    async def worker() -> None:
        for item in waiting:
            await work(item)

    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))


def run(number: int, prefix: str = "run") -> dict[str, Any]:
    """A TrainingRun whose key is its own."""
    kind = {"apiVersion": "mlops.cats-dogs.io/v1alpha1", "kind": "TrainingRun"}
    spec = {"parameters": {"seed": number}, "retries": 1}
    return {**kind, "metadata": {"name": f"{prefix}-{number:05}"}, "spec": spec}


def reason(run: Mapping[str, Any]) -> str:
    """The reason of a run's condition Succeeded; empty before it has one."""
    conditions = run.get("status", {}).get("conditions", ())
    return next((str(c["reason"]) for c in conditions if c["type"] == "Succeeded"), "")
