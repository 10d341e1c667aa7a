"""PodMonitorings and Rules as Prometheus's own settings: what Google's operator makes of them, in short."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from devcluster import monitoring
from devcluster.errors import DevclusterError
from mlops_operator.builders.pod_monitoring import PodMonitoringInputs, build_pod_monitoring

OPERATOR = Path(__file__).parents[3] / "deploy" / "monitoring" / "pod-monitoring.yaml"


def test_a_servers_pod_monitoring() -> None:
    made = build_pod_monitoring(PodMonitoringInputs("pets", "team", {"uid": "1"}))
    assert monitoring.scrape_configs([made]) == [
        {
            "job_name": "PodMonitoring/team/pets/metrics",
            "scrape_interval": "30s",
            "metrics_path": "/metrics",
            "kubernetes_sd_configs": [
                {
                    "role": "pod",
                    "namespaces": {"names": ["team"]},
                    "selectors": [
                        {
                            "role": "pod",
                            "label": "app.kubernetes.io/instance=pets,app.kubernetes.io/name=cats-dogs-api",
                        }
                    ],
                }
            ],
            "relabel_configs": [
                {"target_label": "project_id", "replacement": "local"},
                {"target_label": "location", "replacement": "local"},
                {"target_label": "cluster", "replacement": "local"},
                {"source_labels": ["__meta_kubernetes_pod_container_name"], "target_label": "container"},
                {"source_labels": ["__meta_kubernetes_pod_name"], "target_label": "pod"},
                {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
                {"target_label": "job", "replacement": "pets"},
                {
                    "action": "drop",
                    "source_labels": ["__meta_kubernetes_pod_phase"],
                    "regex": "(Failed|Succeeded)",
                },
                {
                    "action": "keep",
                    "source_labels": ["__meta_kubernetes_pod_container_port_name"],
                    "regex": "metrics",
                },
                {
                    "source_labels": ["__meta_kubernetes_pod_name"],
                    "target_label": "instance",
                    "replacement": "${1}:metrics",
                    "regex": "(.+)",
                },
                {
                    "source_labels": ["__meta_kubernetes_pod_label_app_kubernetes_io_instance"],
                    "target_label": "model_server",
                },
            ],
        }
    ]


def test_the_operators_pod_monitoring_and_another_interval() -> None:
    found = yaml.safe_load(OPERATOR.read_text())
    found["metadata"]["namespace"] = "mlops-system"
    [config] = monitoring.scrape_configs([found], "5s")
    assert (config["job_name"], config["scrape_interval"]) == (
        "PodMonitoring/mlops-system/mlops-operator/metrics",
        "5s",
    )


@pytest.mark.parametrize(
    "spec",
    [
        {"selector": {"matchLabels": {"a": "b"}}, "endpoints": [{"port": 8081, "interval": "30s"}]},
        {"selector": {"matchExpressions": []}, "endpoints": [{"port": "metrics", "interval": "30s"}]},
        {"selector": {}, "endpoints": [{"port": "metrics", "interval": "30s"}]},
    ],
)
def test_what_is_not_translated_is_refused(spec: dict[str, Any]) -> None:
    with pytest.raises(DevclusterError, match="PodMonitoring team/pets: only matchLabels and named ports"):
        monitoring.scrape_configs([{"metadata": {"namespace": "team", "name": "pets"}, "spec": spec}])


def test_groups_of_the_same_name_in_two_namespaces_stay_two() -> None:
    group = {"name": "latency", "interval": "30s", "rules": [{"record": "a:b", "expr": "up"}]}
    found = [
        monitoring.rule_groups({"metadata": {"namespace": space, "name": "servers"}, "spec": {"groups": [group]}})
        for space in ("one", "two")
    ]
    assert found == [[{**group, "name": "one/servers/latency"}], [{**group, "name": "two/servers/latency"}]]
