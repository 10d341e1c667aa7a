"""Gives each Service of type LoadBalancer an address of the node's network, as a cloud would.

It only writes `status.loadBalancer`; kube-proxy makes the address answer, on the machine and in the pods.
Run as `python -m devcluster.loadbalancer KUBECONFIG FIRST COUNT`: the pool is COUNT addresses from FIRST on.
"""

import ipaddress
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any

from kubernetes import client, config, watch
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError


def pool(first: str, count: int) -> list[str]:
    """`count` addresses, upwards from `first`."""
    return [str(ipaddress.ip_address(first) + offset) for offset in range(count)]


def held(service: Any) -> list[str]:
    """The addresses in a Service's status."""
    return [entry.ip for entry in service.status.load_balancer.ingress or [] if entry.ip]


def choose(pool: Sequence[str], taken: Iterable[str], wanted: str | None = None) -> str | None:
    """The address for a Service that has none: the one it asks for, else the lowest free one, else None."""
    used = set(taken)
    if wanted:
        return wanted if wanted in pool and wanted not in used else None
    return next((address for address in pool if address not in used), None)


def assign(api: Any, pool: Sequence[str]) -> None:
    """Give an address to each Service that waits for one, and take it from those of another type."""
    services = api.list_service_for_all_namespaces(_request_timeout=10).items
    taken = {address for service in services for address in held(service)}
    for service in services:
        wants, has = service.spec.type == "LoadBalancer", held(service)
        if wants == bool(has):
            continue
        address = choose(pool, taken, service.spec.load_balancer_ip) if wants else None
        if wants and address is None:
            continue
        if address:
            taken.add(address)
        ingress = [{"ip": address, "ipMode": "VIP"}] if address else []
        api.patch_namespaced_service_status(
            service.metadata.name,
            service.metadata.namespace,
            {"status": {"loadBalancer": {"ingress": ingress}}},
            _request_timeout=10,
        )


def main() -> None:
    """Run until ended: assign on each change of a Service, and every 30 s."""
    _, kubeconfig, first, count = sys.argv
    config.load_kube_config(kubeconfig)  # type: ignore[no-untyped-call]
    addresses = pool(first, int(count))
    api: Any = client.CoreV1Api()
    while True:
        try:
            assign(api, addresses)
            for _ in watch.Watch().stream(  # type: ignore[no-untyped-call]
                api.list_service_for_all_namespaces, timeout_seconds=30, _request_timeout=40
            ):
                assign(api, addresses)
        except (ApiException, HTTPError, OSError) as error:
            sys.stderr.write(f"load balancer: {error}; trying again in 1 s\n")
            time.sleep(1)


if __name__ == "__main__":
    main()
