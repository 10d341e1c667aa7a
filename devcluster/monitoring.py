"""A real Prometheus in the local cluster, in the place of Google's managed one: same PodMonitorings, same Rules.

It translates both as Google's operator does (prometheus-engine, pod_config.go and rules_config.go of
pkg/operator/apis/monitoring/v1), in the parts that are used here; it must not add a target or a rule of its own.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from devcluster import addons, commands, programs
from devcluster.backend import Cluster
from devcluster.errors import DevclusterError
from devcluster.progress import Reporter

NAMESPACE = "gmp-system"  # where Google's collectors are: what network policies open for them is open for this one
PORT = 9090
META = "__meta_kubernetes_pod_"
# What Google's collection adds to every series; here it only has to be there.
PLACE = {"project_id": "local", "location": "local", "cluster": "local"}

Resource = Mapping[str, Any]


def scrape_configs(monitorings: Iterable[Resource], interval: str = "") -> list[dict[str, Any]]:
    """scrape_configs for PodMonitorings; `interval` in place of their own, so that a demo soon has something to show.

    Raises `DevclusterError` for what is not translated: matchExpressions and ports by number.
    """
    return [
        _scrape_config(each, endpoint, interval)
        for each in sorted(monitorings, key=_key)
        for endpoint in each["spec"]["endpoints"]
    ]


def _scrape_config(monitoring: Resource, endpoint: Mapping[str, Any], interval: str) -> dict[str, Any]:
    metadata, spec = monitoring["metadata"], monitoring["spec"]
    port, selector = endpoint["port"], spec["selector"]
    if not isinstance(port, str) or set(selector) != {"matchLabels"}:
        raise DevclusterError(
            f"PodMonitoring {'/'.join(_key(monitoring))}: only matchLabels and named ports are translated"
        )
    mapped = spec.get("targetLabels", {}).get("fromPod", ())
    wanted = spec.get("targetLabels", {}).get("metadata", ("container", "pod"))
    sources = {"container": f"{META}container_name", "pod": f"{META}name", "node": f"{META}node_name"}
    return {
        "job_name": "/".join(("PodMonitoring", *_key(monitoring), port)),
        "scrape_interval": interval or endpoint["interval"],
        "metrics_path": endpoint.get("path", "/metrics"),
        "kubernetes_sd_configs": [
            {
                "role": "pod",
                "namespaces": {"names": [metadata["namespace"]]},
                "selectors": [{"role": "pod", "label": _selector(selector["matchLabels"])}],
            }
        ],
        "relabel_configs": [
            *({"target_label": name, "replacement": value} for name, value in PLACE.items()),
            *(_copied(sources[name], name) for name in wanted if name in sources),
            _copied("__meta_kubernetes_namespace", "namespace"),
            {"target_label": "job", "replacement": metadata["name"]},
            {"action": "drop", "source_labels": [f"{META}phase"], "regex": "(Failed|Succeeded)"},
            {"action": "keep", "source_labels": [f"{META}container_port_name"], "regex": port},
            {**_copied(f"{META}name", "instance"), "replacement": f"${{1}}:{port}", "regex": "(.+)"},
            *(_copied(f"{META}label_{_label(each['from'])}", each.get("to", each["from"])) for each in mapped),
        ],
    }


def rule_groups(rules: Resource) -> list[dict[str, Any]]:
    """The groups of a Rules resource in Prometheus's form, with names that are unique among all resources."""
    prefix = "/".join(_key(rules))
    return [{**group, "name": f"{prefix}/{group['name']}"} for group in rules["spec"]["groups"]]


def scoped(groups: Iterable[Mapping[str, Any]], namespace: str, promtool: Path) -> list[dict[str, Any]]:
    """The groups as Google scopes a Rules resource: they see the series of its namespace alone, and so are theirs."""
    labels = {"namespace": namespace, **PLACE}

    def rule(each: Mapping[str, Any]) -> dict[str, Any]:
        expression = each["expr"]
        for name, value in labels.items():
            command = (str(promtool), "--experimental", "promql", "label-matchers", "set", expression, name, value)
            expression = commands.run(*command).strip()
        return {**each, "expr": expression, "labels": {**each.get("labels", {}), **labels}}

    return [{**group, "rules": [rule(each) for each in group["rules"]]} for group in groups]


def settings(cluster: Cluster, promtool: Path, interval: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Prometheus's settings and its file of rules, for what the cluster now has; `interval` is that of all of it."""
    config = {
        "global": {"scrape_interval": interval, "evaluation_interval": interval},
        "rule_files": ["rules.yaml"],
        "scrape_configs": scrape_configs(_all(cluster, "podmonitorings"), interval),
    }
    groups = [
        {**group, "interval": interval}
        for rules in sorted(_all(cluster, "rules.monitoring.googleapis.com"), key=_key)
        for group in scoped(rule_groups(rules), rules["metadata"]["namespace"], promtool)
    ]
    return config, {"groups": groups}


def start(cluster: Cluster, image: str, report: Reporter, interval: str = "5s") -> None:
    """Run Prometheus on what the cluster now has of PodMonitorings and Rules; started anew where these have changed."""
    promtool = programs.ensure(["promtool"], report)["promtool"]
    config, rules = settings(cluster, promtool, interval)
    files = {"prometheus.yaml": yaml.safe_dump(config), "rules.yaml": yaml.safe_dump(rules)}
    version = hashlib.sha256(json.dumps(files).encode()).hexdigest()[:12]
    addons.apply(cluster, ("prometheus",), IMAGE=image, CONFIG=version)
    made = {"metadata": {"name": f"prometheus-{version}", "namespace": NAMESPACE}, "data": files}
    places = sorted({_key(each)[0] for each in _all(cluster, "podmonitorings")})
    rights = [part for place in places for part in _rights(place)]
    _apply(cluster, {"apiVersion": "v1", "kind": "ConfigMap", **made}, *rights)


def _rights(namespace: str) -> list[dict[str, Any]]:
    """Seeing the pods of a namespace, and nothing else."""
    api = "rbac.authorization.k8s.io"
    metadata = {"name": "prometheus", "namespace": namespace}
    rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}
    subject = {"kind": "ServiceAccount", "name": "prometheus", "namespace": NAMESPACE}
    reference = {"apiGroup": api, "kind": "Role", "name": "prometheus"}
    return [
        {"apiVersion": f"{api}/v1", "kind": "Role", "metadata": metadata, "rules": [rule]},
        {
            "apiVersion": f"{api}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": reference,
            "subjects": [subject],
        },
    ]


def _all(cluster: Cluster, kind: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = json.loads(commands.run(*cluster.command("get", kind, "-A", "-o", "json")))["items"]
    return items


def _apply(cluster: Cluster, *resources: Mapping[str, Any]) -> None:
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": resources})
    commands.run(*cluster.command("apply", "--server-side", "--force-conflicts", "-f-"), stdin=text)


def _key(resource: Resource) -> tuple[str, str]:
    return resource["metadata"].get("namespace", ""), resource["metadata"]["name"]


def _selector(labels: Mapping[str, str]) -> str:
    return ",".join(f"{name}={value}" for name, value in sorted(labels.items()))


def _copied(source: str, target: str) -> dict[str, Any]:
    return {"source_labels": [source], "target_label": target}


def _label(name: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_]", "_", name)
