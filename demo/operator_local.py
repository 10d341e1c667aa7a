"""Runs the operator of this checkout against the local cluster, in place of the one in the cluster.

It must not invent settings: it takes those of the operator's own Deployment.
"""

import os
import subprocess
import sys
from collections.abc import Mapping

from demo.deploy import SYSTEM, address
from demo.errors import DemoError
from demo.kubectl import Kubectl, Resource, of
from devcluster import cluster
from devcluster.progress import Reporter

DEPLOYMENT = "mlops-operator"


def run(report: Reporter) -> int:
    """Scale the cluster's operator to none, run the checkout's until it ends, and scale back. Returns its status."""
    kubectl = of(cluster.found())
    deployment = kubectl.get("deployment", DEPLOYMENT, SYSTEM)
    if deployment is None:
        raise DemoError("the operator's settings are not in the cluster: `make demo` puts them there")
    store = address(kubectl, "object-store", 4443)
    environment = {**os.environ, **settings(deployment, store), "KUBECONFIG": str(kubectl.kubeconfig)}
    _scale(kubectl, 0)
    report.note("the operator of this checkout runs in place of the cluster's; Ctrl-C ends it")
    try:
        return subprocess.run([sys.executable, "-m", "mlops_operator"], env=environment, check=False).returncode
    except KeyboardInterrupt:
        return 0
    finally:
        _scale(kubectl, 1)
        report.note("the cluster's own operator runs again")


def settings(deployment: Resource, store: str) -> Mapping[str, str]:
    """The Deployment's settings as seen from outside the cluster: the object store by its own address.

    POD_ENV stays as it is: pods reach the store by its name.
    """
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    given = {entry["name"]: entry["value"] for entry in container["env"] if "value" in entry}
    given.pop("HOME", None)
    return {**given, "STORAGE_EMULATOR_HOST": store}


def _scale(kubectl: Kubectl, replicas: int) -> None:
    kubectl.run("scale", "deployment", DEPLOYMENT, f"--namespace={SYSTEM}", f"--replicas={replicas}")
