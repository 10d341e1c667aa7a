"""What NetworkPolicies mean, by the API's documentation: a connection is open when both of its ends let it pass.

It decides by objects alone and opens no connection; tests/e2e/test_network_policies.py does that.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Resource = Mapping[str, Any]


@dataclass(frozen=True)
class Place:
    """A pod, or an address that is none (then `namespace` is empty). `ports` are a main container's, by name."""

    ip: str
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)


def is_open(
    source: Place, target: Place, port: int, policies: Iterable[Resource], namespaces: Mapping[str, Mapping[str, str]]
) -> bool:
    """Whether a TCP connection passes; `namespaces` gives the labels of each one."""
    policies = list(policies)
    return all(
        _passes(way, here, there, target, port, policies, namespaces)
        for way, here, there in (("Egress", source, target), ("Ingress", target, source))
    )


def _passes(
    way: str,
    here: Place,
    there: Place,
    target: Place,
    port: int,
    policies: Iterable[Resource],
    namespaces: Mapping[str, Mapping[str, str]],
) -> bool:
    """Whether the policies that select `here` let the connection with `there` pass; none selecting it is open."""
    peers, found = {"Egress": "to", "Ingress": "from"}[way], False
    for policy in policies:
        spec = policy["spec"]
        selected = here.namespace and policy["metadata"]["namespace"] == here.namespace
        if not selected or way not in spec["policyTypes"] or not _matches(spec["podSelector"], here.labels):
            continue
        found = True
        for rule in spec.get(way.lower(), ()):
            near = any(_is_peer(peer, there, here.namespace, namespaces) for peer in rule.get(peers, ()))
            if (near or not rule.get(peers)) and _port_matches(rule, target, port):
                return True
    return not found


def _is_peer(peer: Resource, place: Place, own: str, namespaces: Mapping[str, Mapping[str, str]]) -> bool:
    if "ipBlock" in peer:
        address = ipaddress.ip_address(place.ip)
        inside = address in ipaddress.ip_network(peer["ipBlock"]["cidr"])
        return inside and not any(address in ipaddress.ip_network(each) for each in peer["ipBlock"].get("except", ()))
    if not place.namespace:
        return False
    if "namespaceSelector" in peer:
        labels = {"kubernetes.io/metadata.name": place.namespace, **namespaces.get(place.namespace, {})}
        if not _matches(peer["namespaceSelector"], labels):
            return False
    elif place.namespace != own:
        return False
    return _matches(peer.get("podSelector", {}), place.labels)


def _matches(selector: Resource, labels: Mapping[str, str]) -> bool:
    expressions = selector.get("matchExpressions", ())
    assert all(each["operator"] == "In" for each in expressions), "only In is used here"
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        labels.get(each["key"]) in each["values"] for each in expressions
    )


def _port_matches(rule: Resource, target: Place, port: int) -> bool:
    tcp = [each["port"] for each in rule.get("ports", ()) if each.get("protocol", "TCP") == "TCP"]
    return "ports" not in rule or port in [target.ports.get(each) if isinstance(each, str) else each for each in tcp]
