"""The ModelServer's CRD, its parser, its status and its example agree. No cluster is needed."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from mlops_operator.api.gate import Traffic
from mlops_operator.api.model_server import ModelServer, Promotion, Recorded, parse
from mlops_operator.status.verdict import REFUSALS
from tests.unit.operator.test_model_server_admission import NEW, OLD, World, in_trouble

BALANCED = {"status": {"loadBalancer": {"ingress": [{"ip": "10.0.0.9"}]}}}
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


def lives() -> Iterator[Mapping[str, Any]]:
    """Statuses of a model that is served, one that is refused, one sent back, two whose bucket is away."""
    world = World().serving_old()
    yield world.step(recorded=Recorded(1, "", "MLflow's @champion is set")).status or {}
    world.step(traffic={"uid-pets-1": Traffic(100, 0, ((0.02, 100),))})
    yield world.step(training_runs=(OLD, NEW), service=BALANCED).status or {}
    world.new_accepted()
    yield world.status
    world.step(10, traffic={"uid-pets-1": Traffic(200, 200, ())})
    yield world.status
    world.promote = Promotion("new", "ann@example.com", "the test set is stale")
    world.step(**world.rolled(), traffic={})
    world.step()
    world.step(**world.rolled())
    yield world.step(61).status or {}
    world = World().serving_old()
    world.step(training_runs=(OLD, NEW))
    waits = world.started()["candidate_pods"][0]
    waits["status"]["conditions"] = []
    yield world.step(10, candidate_pods=(waits,), excuses={"uid-pets-candidate-1": "no bucket"}).status or {}
    world = World()
    found = in_trouble(world)
    yield world.step(10, **found, excuses={found["pods"][0]["metadata"]["uid"]: "no bucket"}).status or {}


def paths(value: Any, path: str = "") -> Iterator[str]:
    """Each field of a status with its path, as `fields` has them."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield f"{path}.{name}"
            yield from paths(inner, f"{path}.{name}")
    if isinstance(value, list):
        yield from (f"{path}.items" for _ in value[:1])
        for inner in value:
            yield from paths(inner, f"{path}.items")


def test_the_status_that_is_written_is_the_status_that_is_declared() -> None:
    declared = {path for path, _ in fields(SCHEMA["properties"]["status"])}
    written = {path for status in lives() for path in paths(status)}
    assert written - declared == set(), "the API server would drop these"
    never = {path for path in declared - written if not path.endswith("gitCommit")}
    assert never == set(), "nothing writes these"


def test_reasons_are_words_that_a_condition_may_have() -> None:
    pattern = SCHEMA["properties"]["status"]["properties"]["conditions"]["items"]["properties"]["reason"]["pattern"]
    reasons = {condition["reason"] for status in lives() for condition in status["conditions"]}
    assert [reason for reason in reasons if not re.fullmatch(pattern, reason)] == []


def test_every_reason_is_explained() -> None:
    page = (ROOT / "docs/modelserver.md").read_text()
    written = {condition["reason"] for status in lives() for condition in status["conditions"]}
    sources = (ROOT / "operator/mlops_operator/reconcile").glob("*.py")
    named = {
        word for source in sources for word in re.findall(r'"(?:True|False|Unknown)", "(\w+)"', source.read_text())
    }
    assert named > {"Serving", "Stopped", "Written"}
    assert {reason for reason in written | named | {*REFUSALS} if f"`{reason}`" not in page} == set()


def test_the_example_follows_the_first_example_and_needs_no_image() -> None:
    first = yaml.safe_load((ROOT / "examples/01-trainingrun.yaml").read_text())
    second = yaml.safe_load((ROOT / "examples/02-modelserver.yaml").read_text())
    assert first["metadata"] == {
        "name": "cats-dogs-demo",
        "namespace": "cats-dogs",
        "labels": yaml.safe_load((ROOT / "examples/10-follow-a-label.yaml").read_text())["spec"]["modelFrom"][
            "selector"
        ]["matchLabels"],
    }
    assert second == {
        "apiVersion": "mlops.cats-dogs.io/v1alpha1",
        "kind": "ModelServer",
        "metadata": {"name": "cats-dogs-api", "namespace": "cats-dogs"},
        "spec": {"modelFrom": {"trainingRun": "cats-dogs-demo"}, "replicas": 1},
    }
    assert {"image", "bucket"} & first["spec"].keys() == set()
