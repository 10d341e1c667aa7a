"""The ModelServer's CRD, its parser, its status and its example agree. No cluster is needed."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from mlops_operator.api.model_server import ModelServer, Observed, parse
from mlops_operator.reconcile.model_server import reconcile
from tests.unit.operator.model_server_world import NOW, SETTINGS, A, deployed, pod, run

ROOT = Path(__file__).parents[2]
CRD = yaml.safe_load((ROOT / "crds/modelservers.mlops.cats-dogs.io.yaml").read_text())
[VERSION] = CRD["spec"]["versions"]
SCHEMA = VERSION["schema"]["openAPIV3Schema"]
SPEC = SCHEMA["properties"]["spec"]
# Whoever could set one of these in a resource would borrow the operator's rights, or those of another pod.
NEVER = {"template", "podTemplate", "serviceAccountName", "namespace", "volumes", "env", "envFrom", "secret", "command"}


def fields(schema: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each field below `schema` with its path."""
    for name, field in schema.get("properties", {}).items():
        yield f"{path}.{name}", field
        yield from fields(field, f"{path}.{name}")
    for part in ("items", "additionalProperties"):
        if part in schema:
            yield f"{path}.{part}", schema[part]
            yield from fields(schema[part], f"{path}.{part}")


def filled(schema: Mapping[str, Any], value: Mapping[str, Any]) -> dict[str, Any]:
    """`value` with the defaults that the API server fills in."""
    given = dict(value)
    for name, field in schema.get("properties", {}).items():
        if name not in given and "default" in field:
            given[name] = field["default"]
        if isinstance(given.get(name), dict):
            given[name] = filled(field, given[name])
    return given


def resource(spec: Mapping[str, Any]) -> ModelServer:
    metadata = {"name": "pets", "namespace": "team", "uid": "u-1", "generation": 1}
    return parse({"metadata": metadata, "spec": spec})


def test_names() -> None:
    assert CRD["spec"]["names"] == {
        "kind": "ModelServer",
        "listKind": "ModelServerList",
        "plural": "modelservers",
        "singular": "modelserver",
        "shortNames": ["msrv"],
        "categories": ["mlops"],
    }
    assert VERSION["subresources"]["scale"] == {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }


def test_columns() -> None:
    shown = [column["name"].upper() for column in VERSION["additionalPrinterColumns"] if not column.get("priority")]
    assert shown == ["READY", "REASON", "MODEL", "ACCURACY", "REPLICAS", "URL", "AGE"]


def test_the_parser_knows_the_crds_defaults() -> None:
    minimal = {"modelFrom": {"trainingRun": "demo"}, "autoscaling": {"maxReplicas": 3}}
    assert asdict(resource(minimal)) == asdict(resource(filled(SPEC, minimal)))
    assert filled(SPEC, minimal) != minimal


def test_every_field_of_the_spec_is_described_and_bounded() -> None:
    loose = []
    for path, field in fields(SPEC):
        bounded = {
            "string": "maxLength" in field or "enum" in field,
            "integer": "minimum" in field and "maximum" in field,
            "array": "maxItems" in field,
            "object": "additionalProperties" not in field or "maxProperties" in field,
            "boolean": True,
        }[field["type"]]
        described = "description" in field or path.endswith(("items", "additionalProperties"))
        if not (bounded and described):
            loose.append(path)
    assert loose == []


def test_every_rule_says_what_is_wrong() -> None:
    rules = [rule for _, field in fields(SCHEMA) for rule in field.get("x-kubernetes-validations", ())]
    assert len(rules) > 8
    assert [rule["rule"] for rule in rules if len(rule.get("message", "")) < 20] == []


def test_nobody_borrows_rights_through_the_spec() -> None:
    assert {path.rpartition(".")[2] for path, _ in fields(SPEC)} & NEVER == set()


def test_the_status_that_is_written_is_the_status_that_is_declared() -> None:
    done = run("demo", "True", "Completed", sha256=A)
    asked = resource({"modelFrom": {"trainingRun": "demo"}})
    deployment = deployed(asked, Observed(training_runs=(done,)))
    service = {"status": {"loadBalancer": {"ingress": [{"ip": "10.0.0.9"}]}}}
    seen = Observed(deployment, service, (pod(deployment),), (done,))
    status = reconcile(asked, seen, SETTINGS, NOW).status
    assert status is not None
    declared = SCHEMA["properties"]["status"]["properties"]
    assert status.keys() == declared.keys()
    assert status["model"].keys() == declared["model"]["properties"].keys()
    condition = declared["conditions"]["items"]
    for written in status["conditions"]:
        assert written.keys() == condition["properties"].keys()
        assert re.fullmatch(condition["properties"]["reason"]["pattern"], written["reason"])


def test_the_example_follows_the_first_example_and_needs_no_image() -> None:
    first = yaml.safe_load((ROOT / "examples/01-trainingrun.yaml").read_text())
    second = yaml.safe_load((ROOT / "examples/02-modelserver.yaml").read_text())
    assert first["metadata"] == {"name": "cats-dogs-demo", "namespace": "cats-dogs"}
    assert second == {
        "apiVersion": "mlops.cats-dogs.io/v1alpha1",
        "kind": "ModelServer",
        "metadata": {"name": "cats-dogs-api", "namespace": "cats-dogs"},
        "spec": {"modelFrom": {"trainingRun": "cats-dogs-demo"}, "replicas": 1},
    }
    assert {"image", "bucket"} & first["spec"].keys() == set()
