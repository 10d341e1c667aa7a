"""What deploy/monitoring installs is taken by an API server that has Google's kinds, and what is wrong is refused."""

from typing import Any

import pytest

from tests.contract.monitored import alerts, records
from tests.integration.world import NAMESPACE, ROOT, Kubectl

RULE = {"alert": "Late", "expr": "up == 0"}


def rules(**changed: Any) -> dict[str, Any]:
    rule = {name: value for name, value in {**RULE, **changed}.items() if value is not None}
    return {
        "apiVersion": "monitoring.googleapis.com/v1",
        "kind": "Rules",
        "metadata": {"name": "some", "namespace": NAMESPACE},
        "spec": {"groups": [{"name": "some", "rules": [rule]}]},
    }


def test_everything_is_taken(kubectl: Kubectl) -> None:
    system = Kubectl(kubectl.cluster, "mlops-system")
    system("apply", "--server-side", "-k", str(ROOT / "deploy" / "monitoring"))
    kubectl("apply", "--server-side", "-k", str(ROOT / "deploy" / "monitoring" / "workloads"))
    [scraped] = system.items("podmonitoring")
    assert scraped["metadata"]["name"] == "mlops-operator"
    found = [*system.items("rules.monitoring.googleapis.com"), *kubectl.items("rules.monitoring.googleapis.com")]
    given = [rule for each in found for group in each["spec"]["groups"] for rule in group["rules"]]
    assert {rule["alert"] for rule in given if "alert" in rule} == set(alerts())
    assert {rule["record"] for rule in given if "record" in rule} == records()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"record": "a:b"}, "exactly one of record and alert must be set"),
        ({"alert": None}, "exactly one of record and alert must be set"),
        ({"alert": None, "record": "a:b", "annotations": {"summary": "x"}}, "annotations are of alerts only"),
        ({"labels": {"namespace": "team"}}, "project_id, location, cluster and namespace are set by the collection"),
        ({"expr": None}, "expr: Required value"),
        ({"fro": "5m"}, 'unknown field "spec.groups[0].rules[0].fro"'),
    ],
    ids=str,
)
def test_a_wrong_rule_is_refused(kubectl: Kubectl, wrong: dict[str, Any], said: str) -> None:
    assert kubectl.tried("apply", "--dry-run=server", "-f-", given=rules()).returncode == 0
    done = kubectl.tried("apply", "--dry-run=server", "-f-", given=rules(**wrong))
    assert done.returncode != 0
    assert said in done.stderr
