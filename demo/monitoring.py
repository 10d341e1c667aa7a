"""Watches the cluster as Google's managed Prometheus does on GKE: the alerts of deploy/monitoring, and a Prometheus.

It must not describe a rule or a target: those are in deploy/monitoring, or the operator makes them.
"""

from pathlib import Path

import yaml

from demo.deploy import ROOT, SYSTEM, address
from demo.errors import DemoError
from demo.kubectl import Kubectl, of
from devcluster import cluster, monitoring
from devcluster.progress import Reporter

FOLDER = ROOT / "deploy" / "monitoring"
WORKLOADS = "cats-dogs"


def start(context: str | None, report: Reporter) -> str:
    """Install the alerts, start Prometheus on what is to be scraped now, and return its address.

    Run again after a new ModelServer, it scrapes that too; Prometheus then forgets what it knew. Raises DemoError on a
    cluster where Google's own collectors run.
    """
    running = cluster.found(context)
    kubectl = of(running)
    if kubectl.get("daemonset", "collector", monitoring.NAMESPACE):
        raise DemoError(f"{running.context} has Google's own collectors: apply deploy/monitoring, they do the rest")
    image = cluster.build(["prometheus"], report, context)["prometheus"]
    with report.step("Monitoring") as step:
        _apply(kubectl, FOLDER, SYSTEM)
        _apply(kubectl, FOLDER / "workloads", WORKLOADS)
        monitoring.start(running, image, report)
        step.update(None, "waiting for Prometheus")
        waiting = ("rollout", "status", "deployment/prometheus", f"--namespace={monitoring.NAMESPACE}", "--timeout=50s")
        kubectl.run(*waiting)
        found = address(kubectl, "prometheus", monitoring.PORT, monitoring.NAMESPACE)
        step.done(found)
    return found


def _apply(kubectl: Kubectl, folder: Path, namespace: str) -> None:
    rendered = yaml.safe_load_all(kubectl.run("kustomize", str(folder)))
    kubectl.apply(*({**each, "metadata": {**each["metadata"], "namespace": namespace}} for each in rendered))
