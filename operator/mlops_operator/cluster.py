"""The Kubernetes API as the operator uses it: read, list, create, apply, patch a status, delete.

Every call has a timeout and touches only the kinds named here; nothing is decided here.
"""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kubernetes.aio import client, config
from kubernetes.aio.client import ApiException
from kubernetes.aio.dynamic import DynamicClient
from kubernetes.aio.dynamic.exceptions import ConflictError, NotFoundError

from mlops_operator.api.training_run import API_VERSION
from mlops_operator.builders.common import MANAGER

log = logging.getLogger(__name__)

TIMEOUT = 10.0
LIST_LIMIT = 500
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
    ("monitoring.googleapis.com/v1", "PodMonitoring"): "podmonitorings",
}

__all__ = ["ApiException", "Cluster", "ConflictError", "NotFoundError", "connect", "merge_patch"]


class Cluster:
    """A connection to one API server; objects go in and come out as plain dicts.

    Raises kubernetes.aio.client.ApiException (ConflictError for 409, NotFoundError for 404), and
    TimeoutError or aiohttp.ClientError when no answer came.
    """

    def __init__(self, api: client.ApiClient, timeout: float = TIMEOUT) -> None:
        self._api = api
        self._client = DynamicClient(api)  # type: ignore[no-untyped-call]
        self._timeout = timeout

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()  # type: ignore[no-untyped-call]

    async def read(self, api_version: str, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        """The object, or None when there is none of that name."""
        try:
            return await self._request("get", path(api_version, kind, namespace, name))
        except NotFoundError:
            return None

    async def list(
        self,
        api_version: str,
        kind: str,
        namespace: str,
        label_selector: str | None = None,
        field_selector: str | None = None,
    ) -> list[dict[str, Any]]:
        """All objects of that kind in the namespace, read page by page."""
        items: list[dict[str, Any]] = []
        position: str | None = None
        while True:
            page = await self._request(
                "get",
                path(api_version, kind, namespace),
                limit=LIST_LIMIT,
                label_selector=label_selector,
                field_selector=field_selector,
                _continue=position,
            )
            items += ({"apiVersion": api_version, "kind": kind, **item} for item in page["items"])
            position = page["metadata"].get("continue")
            if not position:
                return items

    async def create(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Make an object whose name must be free; ConflictError when it is not."""
        where = path(body["apiVersion"], body["kind"], body["metadata"]["namespace"])
        return await self._request("post", where, body=body, field_manager=MANAGER)

    async def apply(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Server-side apply, taking over fields that others have set."""
        metadata = body["metadata"]
        return await self._request(
            "patch",
            path(body["apiVersion"], body["kind"], metadata["namespace"], metadata["name"]),
            body=body,
            content_type="application/apply-patch+yaml",
            field_manager=MANAGER,
            force_conflicts=True,
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
            "patch",
            f"{where}/status",
            body={"metadata": precondition, "status": change},
            content_type="application/merge-patch+json",
            field_manager=MANAGER,
        )

    async def delete(self, api_version: str, kind: str, namespace: str, name: str, uid: str = "") -> None:
        """Delete the object and, in the background, what it owns; no error if it is gone or replaced."""
        body: dict[str, Any] = {"propagationPolicy": "Background"}
        if uid:
            body["preconditions"] = {"uid": uid}
        try:
            await self._request("delete", path(api_version, kind, namespace, name), body=body)
        except (NotFoundError, ConflictError):
            log.debug("%s %s/%s is gone already", kind, namespace, name)

    async def serves(self, api_version: str, kind: str) -> bool:
        """Whether the API server knows that kind (PodMonitoring exists only where GMP is installed)."""
        try:
            found = await self._request("get", f"/apis/{api_version}")
        except NotFoundError:
            return False
        return any(resource.get("kind") == kind for resource in found.get("resources", ()))

    async def _request(self, method: str, where: str, **options: Any) -> dict[str, Any]:
        answer = await self._client.request(method, where, serialize=False, _request_timeout=self._timeout, **options)
        try:
            body: dict[str, Any] = await answer.json(content_type=None)
            return body
        finally:
            answer.release()


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
    settings.connection_pool_maxsize = 32
    return Cluster(client.ApiClient(configuration=settings))
