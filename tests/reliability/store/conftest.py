"""What these long tests share with the short ones of the pod."""

from tests.workloads.pod.conftest import _clients_closed, drawings, store

__all__ = ["_clients_closed", "drawings", "store"]
