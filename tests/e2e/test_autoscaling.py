"""A HorizontalPodAutoscaler with real numbers: load takes the server from one pod to two, and quiet back to one."""

import threading
import urllib.request
from pathlib import Path

import pytest

from tests.e2e.kube import RUN, Kube, eventually, model_server

SERVER = "e2e-scaled"


@pytest.fixture
def url(kube: Kube, trained: dict) -> str:
    """A served model that may have two pods."""
    let_in = {"gate": {"policy": "None"}, "smoke": {"policy": "None"}}
    autoscaling = {"minReplicas": 1, "maxReplicas": 2, "targetCPUUtilization": 50}
    kube.apply(model_server(SERVER, RUN, autoscaling=autoscaling, resources={"cpu": "200m", "memory": "1Gi"}, **let_in))
    kube.wait(f"msrv/{SERVER}", "condition=Ready", 300)
    return kube.get(f"msrv/{SERVER}")["status"]["url"]


def test_load_scales_up_and_quiet_scales_down(kube: Kube, url: str, drawings: Path) -> None:
    picture = next((drawings / "Dog").glob("*.jpg")).read_bytes()
    enough = threading.Event()

    def ask() -> None:
        while not enough.is_set():
            request = urllib.request.Request(f"{url}predict", picture, {"Content-Type": "image/jpeg"})
            try:
                urllib.request.urlopen(request, timeout=10).close()
            except OSError:
                enough.wait(0.2)

    clients = [threading.Thread(target=ask) for _ in range(3)]
    for client in clients:
        client.start()
    try:
        eventually("load gives two ready pods", lambda: ready(kube) == 2, 240)
    finally:
        enough.set()
        for client in clients:
            client.join()
    eventually("quiet gives one pod", lambda: ready(kube) == 1, 240)
    kube.run("delete", "msrv", SERVER)


def ready(kube: Kube) -> int:
    status = kube.get(f"deployment/{SERVER}").get("status", {})
    return status.get("readyReplicas", 0) if status.get("replicas") == status.get("readyReplicas") else 0
