"""The Kubernetes API as the operator uses it: read, list, create, apply, patch a status, delete.

Every call has a timeout and touches only the kinds named here; nothing is decided here.
"""

import json
import logging
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
from kubernetes.aio import client, config
from kubernetes.aio.client import ApiException
from kubernetes.aio.client.rest import RESTClientObject
from kubernetes.aio.dynamic.exceptions import ConflictError, NotFoundError, api_exception

from mlops_operator.api.training_run import API_VERSION
from mlops_operator.builders.common import MANAGER

log = logging.getLogger(__name__)

TIMEOUT = 10.0
LIST_LIMIT = 200
CONNECTIONS = 32
JSON = "application/json"
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")

PLURALS: Mapping[tuple[str, str], str] = {
    (API_VERSION, "TrainingRun"): "trainingruns",
    (API_VERSION, "ModelServer"): "modelservers",
    ("batch/v1", "Job"): "jobs",
    ("v1", "Pod"): "pods",
    ("v1", "Service"): "services",
    ("v1", "Event"): "events",
    ("apps/v1", "Deployment"): "deployments",
    ("autoscaling/v2", "HorizontalPodAutoscaler"): "horizontalpodautoscalers",
    ("policy/v1", "PodDisruptionBudget"): "poddisruptionbudgets",
    ("networking.k8s.io/v1", "NetworkPolicy"): "networkpolicies",
    ("gateway.networking.k8s.io/v1", "HTTPRoute"): "httproutes",
    ("monitoring.googleapis.com/v1", "PodMonitoring"): "podmonitorings",
}

__all__ = ["ApiException", "Cluster", "ConflictError", "NotFoundError", "connect", "merge_patch"]


class Cluster:
    """A connection to one API server; objects go in and come out as plain dicts.

    Address and credentials are the official client's; its requests are not, for they cost a pass more than
    all the rest of it: bodies copied twice, and two thread hops a request to look for proxies.

    Raises kubernetes.aio.client.ApiException (ConflictError for 409, NotFoundError for 404), and
    TimeoutError or aiohttp.ClientError when no answer came.
    """

    def __init__(self, settings: client.Configuration, timeout: float = TIMEOUT) -> None:
        self._settings = settings
        tls = RESTClientObject(settings).ssl_context
        self._session = aiohttp.ClientSession(
            settings.host,
            connector=aiohttp.TCPConnector(limit=CONNECTIONS, ssl=tls),
            timeout=aiohttp.ClientTimeout(total=timeout),
            proxy=settings.proxy,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def read(self, api_version: str, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        """The object, or None when there is none of that name."""
        try:
            return await self._request("GET", path(api_version, kind, namespace, name))
        except NotFoundError:
            return None

    async def pages(
        self,
        api_version: str,
        kind: str,
        namespace: str,
        label_selector: str | None = None,
        field_selector: str | None = None,
    ) -> AsyncIterator[list[dict[str, Any]]]:
        """All objects of that kind in the namespace, at most LIST_LIMIT at a time: so memory holds one page."""
        given = {"labelSelector": label_selector, "fieldSelector": field_selector}
        query = {"limit": str(LIST_LIMIT), **{name: value for name, value in given.items() if value}}
        while True:
            page = await self._request("GET", path(api_version, kind, namespace), **query)
            for item in page["items"]:
                item |= {"apiVersion": api_version, "kind": kind}
            yield page["items"]
            if not (position := page["metadata"].get("continue")):
                return
            query["continue"] = position

    async def list(
        self,
        api_version: str,
        kind: str,
        namespace: str,
        label_selector: str | None = None,
        field_selector: str | None = None,
    ) -> list[dict[str, Any]]:
        """All objects of that kind in the namespace."""
        pages = self.pages(api_version, kind, namespace, label_selector, field_selector)
        return [item async for page in pages for item in page]

    async def create(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Make an object whose name must be free; ConflictError when it is not."""
        where = path(body["apiVersion"], body["kind"], body["metadata"]["namespace"])
        return await self._request("POST", where, body, fieldManager=MANAGER)

    async def apply(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Server-side apply, taking over fields that others have set."""
        metadata = body["metadata"]
        return await self._request(
            "PATCH",
            path(body["apiVersion"], body["kind"], metadata["namespace"], metadata["name"]),
            body,
            "application/apply-patch+yaml",
            fieldManager=MANAGER,
            force="true",
        )

    async def patch_status(self, resource: Mapping[str, Any], status: Mapping[str, Any]) -> dict[str, Any] | None:
        """Turn the status of `resource` into `status` with one merge patch; None when nothing differs.

        The patch carries UID and resourceVersion, so that a stale `resource` ends in ConflictError and
        never in a status that rests on old facts.
        """
        change = merge_patch(resource.get("status", {}), status)
        if not change:
            return None
        metadata = resource["metadata"]
        precondition = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
        where = path(resource["apiVersion"], resource["kind"], metadata["namespace"], metadata["name"])
        return await self._request(
            "PATCH",
            f"{where}/status",
            {"metadata": precondition, "status": change},
            "application/merge-patch+json",
            fieldManager=MANAGER,
        )

    async def delete(self, api_version: str, kind: str, namespace: str, name: str, uid: str = "") -> None:
        """Delete the object and, in the background, what it owns; no error if it is gone or replaced."""
        body: dict[str, Any] = {"propagationPolicy": "Background"}
        if uid:
            body["preconditions"] = {"uid": uid}
        try:
            await self._request("DELETE", path(api_version, kind, namespace, name), body)
        except (NotFoundError, ConflictError):
            log.debug("%s %s/%s is gone already", kind, namespace, name)

    async def serves(self, api_version: str, kind: str) -> bool:
        """Whether the API server knows that kind (PodMonitoring exists only where GMP is installed)."""
        try:
            found = await self._request("GET", f"/apis/{api_version}")
        except NotFoundError:
            return False
        return any(resource.get("kind") == kind for resource in found.get("resources", ()))

    async def _request(
        self, verb: str, where: str, body: Any = None, content_type: str = JSON, **query: str
    ) -> dict[str, Any]:
        headers = {"Accept": JSON, "Content-Type": content_type, "User-Agent": MANAGER}
        if token := await self._settings.get_api_key_with_prefix("BearerToken"):
            headers["Authorization"] = token
        data = None if body is None else json.dumps(body).encode()
        async with self._session.request(verb, where, params=query, data=data, headers=headers) as answer:
            text = await answer.read()
        if answer.status >= 300:
            raise _refusal(answer, text.decode(errors="replace"))
        try:
            found: dict[str, Any] = json.loads(text)
        except ValueError:
            raise _refusal(answer, "the answer is no JSON") from None
        return found


def _refusal(answer: aiohttp.ClientResponse, body: str) -> ApiException:
    error = ApiException(status=answer.status, reason=answer.reason, body=body)
    error.headers = answer.headers
    refusal: ApiException = api_exception(error)  # type: ignore[no-untyped-call]
    return refusal


def path(api_version: str, kind: str, namespace: str, name: str = "") -> str:
    """The URL path of an object, or of all of its kind; raises KeyError for a kind not in PLURALS."""
    root = "/api/v1" if api_version == "v1" else f"/apis/{api_version}"
    collection = f"{root}/namespaces/{namespace}/{PLURALS[api_version, kind]}"
    return f"{collection}/{name}" if name else collection


def merge_patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON merge patch (RFC 7396) that turns `old` into `new`; empty when they are equal."""
    change: dict[str, Any] = {name: None for name in old if name not in new}
    for name, value in new.items():
        before = old.get(name)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            if inner := merge_patch(before, value):
                change[name] = inner
        elif name not in old or before != value:
            change[name] = value
    return change


def in_cluster() -> bool:
    """Whether this process runs in a pod and was not pointed elsewhere by KUBECONFIG."""
    return "KUBECONFIG" not in os.environ and SERVICE_ACCOUNT.exists()


async def connect() -> Cluster:
    """A connection as the pod's service account, or by KUBECONFIG (or ~/.kube/config) outside a cluster."""
    settings = client.Configuration()
    if in_cluster():
        config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
    else:
        await config.load_kube_config(client_configuration=settings)  # type: ignore[no-untyped-call]
    return Cluster(settings)
