"""The API server as the tests themselves use it, past the proxy: calls as the administrator, and what is there now.

It plays nobody: users and kubelet are played by others through it.
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import yaml

Object = dict[str, Any]
PATHS = {
    "TrainingRun": ("/apis/mlops.cats-dogs.io/v1alpha1", "trainingruns"),
    "ModelServer": ("/apis/mlops.cats-dogs.io/v1alpha1", "modelservers"),
    "Job": ("/apis/batch/v1", "jobs"),
    "Pod": ("/api/v1", "pods"),
    "Event": ("/api/v1", "events"),
    "ServiceAccount": ("/api/v1", "serviceaccounts"),
    "Role": ("/apis/rbac.authorization.k8s.io/v1", "roles"),
    "RoleBinding": ("/apis/rbac.authorization.k8s.io/v1", "rolebindings"),
    "Deployment": ("/apis/apps/v1", "deployments"),
    "Service": ("/api/v1", "services"),
    "HorizontalPodAutoscaler": ("/apis/autoscaling/v2", "horizontalpodautoscalers"),
    "PodDisruptionBudget": ("/apis/policy/v1", "poddisruptionbudgets"),
    "NetworkPolicy": ("/apis/networking.k8s.io/v1", "networkpolicies"),
    "HTTPRoute": ("/apis/gateway.networking.k8s.io/v1", "httproutes"),
    "PodMonitoring": ("/apis/monitoring.googleapis.com/v1", "podmonitorings"),
}
WATCHED = (
    *("TrainingRun", "Job", "Pod", "ModelServer", "Deployment", "Service"),
    *("PodDisruptionBudget", "NetworkPolicy", "PodMonitoring"),
)


class RefusedError(Exception):
    """The API server's answer to a call that it did not carry out."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


def trust_of(kubeconfig: Path) -> tuple[str, ssl.SSLContext, ssl.SSLContext]:
    """Address of the API server, a context that trusts it, and one that also is the administrator."""
    config = yaml.safe_load(kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    plain = ssl.create_default_context(cadata=authority)
    admin = ssl.create_default_context(cadata=authority)
    with tempfile.NamedTemporaryFile() as pem:
        pem.write(base64.b64decode(user["client-certificate-data"]) + base64.b64decode(user["client-key-data"]))
        pem.flush()
        admin.load_cert_chain(pem.name)
    return cluster["server"], plain, admin


class Api:
    """Calls as the administrator."""

    def __init__(self, session: aiohttp.ClientSession, server: str, admin: ssl.SSLContext) -> None:
        self._session, self._server, self._admin = session, server, admin

    async def ask(self, method: str, path: str, body: Any = None, type_: str = "application/json", **query: str) -> Any:
        """The answer's JSON; RefusedError for 400 and above."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": type_} if body is not None else {}
        async with self._session.request(
            method, self._server + path, params=query, data=data, headers=headers, ssl=self._admin
        ) as answer:
            content = await answer.json(content_type=None)
            if answer.status >= 400:
                raise RefusedError(answer.status, str(content.get("message")))
            return content

    def path(self, kind: str, namespace: str, name: str = "") -> str:
        """The path of an object, or of all of a kind."""
        root, plural = PATHS[kind]
        return f"{root}/namespaces/{namespace}/{plural}" + (f"/{name}" if name else "")

    async def create(self, namespace: str, body: Mapping[str, Any]) -> Object:
        """Make an object."""
        made: Object = await self.ask("POST", self.path(body["kind"], namespace), body)
        return made

    async def get(self, kind: str, namespace: str, name: str) -> Object | None:
        """An object, or None."""
        try:
            found: Object = await self.ask("GET", self.path(kind, namespace, name))
        except RefusedError as refused:
            if refused.status != 404:
                raise
            return None
        return found

    async def items(self, kind: str, namespace: str) -> list[Object]:
        """All objects of a kind."""
        found: list[Object] = (await self.ask("GET", self.path(kind, namespace)))["items"]
        return found

    async def patch(self, kind: str, namespace: str, name: str, change: Any, sub: str = "") -> Object:
        """Merge-patch an object."""
        path = self.path(kind, namespace, name) + (f"/{sub}" if sub else "")
        patched: Object = await self.ask("PATCH", path, change, "application/merge-patch+json")
        return patched

    async def delete(self, kind: str, namespace: str, name: str) -> None:
        """Delete an object with what it owns, in the background."""
        await self.ask("DELETE", self.path(kind, namespace, name), {"propagationPolicy": "Background"})


@dataclass
class Seen:
    """What a namespace holds now, and what it ever held of Jobs and pods."""

    objects: dict[str, dict[str, Object]] = field(default_factory=lambda: defaultdict(dict))
    runs: list[Object] = field(default_factory=list)
    jobs: dict[str, Object] = field(default_factory=dict)
    pods: dict[str, Object] = field(default_factory=dict)
    _waiting: list[asyncio.Future[None]] = field(default_factory=list)

    def take(self, type_: str, item: Object) -> None:
        """One event of a watch."""
        kind, metadata = item["kind"], item["metadata"]
        known = self.objects[kind]
        if type_ == "DELETED":
            known.pop(metadata["name"], None)
        else:
            known[metadata["name"]] = item
        ever = {"Job": self.jobs, "Pod": self.pods}.get(kind)
        if ever is not None:
            ever[metadata["uid"]] = item
        elif kind == "TrainingRun" and all(run["metadata"]["uid"] != metadata["uid"] for run in self.runs):
            self.runs.append(item)
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def changed(self, seconds: float) -> None:
        """Wait until something changes, at most so long."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        await asyncio.wait([future], timeout=seconds)


class Eyes:
    """Watches what an operator cares for, in all namespaces."""

    def __init__(self, api: Api, session: aiohttp.ClientSession, server: str, admin: ssl.SSLContext) -> None:
        self._api, self._session, self._server, self._admin = api, session, server, admin
        self.namespaces: dict[str, Seen] = defaultdict(Seen)
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Begin to watch."""
        for kind in WATCHED:
            root, plural = PATHS[kind]
            version = await self._version(f"{root}/{plural}")
            self._tasks.append(asyncio.create_task(self._watch(f"{root}/{plural}", version)))

    async def close(self) -> None:
        """Stop watching."""
        for task in self._tasks:
            if task.done():
                task.result()
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _watch(self, collection: str, version: str) -> None:
        while True:
            query = {"watch": "true", "resourceVersion": version, "timeoutSeconds": "3000"}
            with suppress(aiohttp.ClientError):
                async with self._session.get(
                    self._server + collection, params=query, ssl=self._admin, timeout=_ENDLESS
                ) as answer:
                    rest = b""
                    async for part in answer.content.iter_any():
                        *lines, rest = (rest + part).split(b"\n")
                        for line in lines:
                            event = json.loads(line)
                            assert event["type"] != "ERROR", event
                            item = event["object"]
                            version = item["metadata"]["resourceVersion"]
                            self.namespaces[item["metadata"]["namespace"]].take(event["type"], item)

    async def _version(self, collection: str) -> str:
        while True:
            with suppress(RefusedError):  # a CRD that was just installed is not served yet
                return str((await self._api.ask("GET", collection))["metadata"]["resourceVersion"])
            await asyncio.sleep(0.2)


_ENDLESS = aiohttp.ClientTimeout(total=None)
