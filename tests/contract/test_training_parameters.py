"""spec.parameters of the TrainingRun's CRD and catsdogs.key.PARAMETERS say the same."""

from pathlib import Path
from typing import Any

import yaml

from catsdogs.key import PARAMETERS, Parameter, checked_parameters

CRD = Path(__file__).parents[2] / "crds" / "trainingruns.mlops.cats-dogs.io.yaml"


def declared() -> dict[str, dict[str, Any]]:
    """The properties of spec.parameters without their descriptions and rules."""
    [version] = yaml.safe_load(CRD.read_text())["spec"]["versions"]
    parameters = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["parameters"]
    return {
        name: {key: value for key, value in schema.items() if key != "description"}
        for name, schema in parameters["properties"].items()
    }


def expected(parameter: Parameter) -> dict[str, Any]:
    """The schema that a parameter stands for."""
    if parameter.minimum is not None:
        bounds = {"minimum": parameter.minimum, "maximum": parameter.maximum}
        return {"type": "integer", **bounds, "default": parameter.default}
    text = {"type": "string", "maxLength": parameter.max_length, "default": parameter.default}
    return {**text, **({"enum": list(parameter.enum)} if parameter.enum else {"pattern": parameter.pattern})}


def test_crd_and_key_declare_the_same_parameters() -> None:
    assert declared() == {parameter.name: expected(parameter) for parameter in PARAMETERS}


def test_the_crds_defaults_are_what_key_fills_in() -> None:
    assert checked_parameters({name: schema["default"] for name, schema in declared().items()}) == (
        checked_parameters({})
    )
