"""The API server without kubectl: one kept connection as the administrator, or as somebody whom it impersonates.

For tables of hundreds of objects, where a process per object would take minutes.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import tempfile
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

import yaml

from devcluster.cluster import Cluster

TRAINING_RUNS = "/apis/mlops.cats-dogs.io/v1alpha1/namespaces/{namespace}/trainingruns"


class Rest:
    """Calls that return status and body, good or bad."""

    def __init__(self, cluster: Cluster) -> None:
        assert cluster.kubeconfig is not None
        server, self._context = credentials(cluster.kubeconfig.read_text())
        self._address = urlsplit(server).netloc
        self._connection: http.client.HTTPSConnection | None = None

    def ask(
        self, method: str, path: str, body: Any = None, user: str = "", type_: str = "application/json", **query: str
    ) -> tuple[int, Any]:
        """Status and JSON; as `user` if one is given."""
        if self._connection is None:
            self._connection = http.client.HTTPSConnection(self._address, context=self._context, timeout=60)
        headers = {"Content-Type": type_, **({"Impersonate-User": user} if user else {})}
        data = None if body is None else json.dumps(body)
        self._connection.request(method, f"{path}?{urlencode(query)}", data, headers)
        answer = self._connection.getresponse()
        return answer.status, json.loads(answer.read())

    def tried(self, body: Mapping[str, Any], namespace: str = "default", **more: Any) -> tuple[int, Any]:
        """What creating a TrainingRun would give: schema, defaults and rules are passed, nothing is stored."""
        path = TRAINING_RUNS.format(namespace=namespace)
        return self.ask("POST", path, body, fieldValidation="Strict", dryRun="All", **more)

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()


def credentials(kubeconfig: str) -> tuple[str, ssl.SSLContext]:
    """The server's address, and a context that trusts it and is the user of a self-contained kubeconfig."""
    config = yaml.safe_load(kubeconfig)
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    with tempfile.NamedTemporaryFile() as pem:
        pem.write(base64.b64decode(user["client-certificate-data"]) + base64.b64decode(user["client-key-data"]))
        pem.flush()
        context.load_cert_chain(pem.name)
    return cluster["server"], context
