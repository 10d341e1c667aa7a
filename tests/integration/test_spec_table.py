"""The API server's verdict on each line of the table of specs; a refusal names the field.

A dry run on the server passes through schema, defaults and rules, and stores nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from devcluster.cluster import Cluster
from tests.integration import spec_table
from tests.integration.figures import tell
from tests.integration.rest import Rest
from tests.integration.world import ROOT, Kubectl, run_of


@pytest.fixture(scope="module")
def rest(control_plane: Cluster) -> Iterator[Rest]:
    """A control plane with the CRDs."""
    ask = Kubectl(control_plane, "default")
    ask("apply", "--server-side", "-f", str(ROOT / "crds"))
    ask("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    found = Rest(control_plane)
    yield found
    found.close()


def test_the_table_covers_each_field_and_is_long_enough(rest: Rest) -> None:
    _, run = rest.tried(run_of("defaults"))
    leaves = {
        f"{name}.{inner}" if isinstance(value, dict) else name
        for name, value in run["spec"].items()
        for inner in (value if isinstance(value, dict) else [""])
    }
    assert leaves <= set(spec_table.BAD)
    assert leaves <= set(spec_table.GOOD)
    assert len(list(spec_table.bad())) >= 150
    assert len(list(spec_table.good())) >= 50
    tell(f"specs: {len(list(spec_table.bad()))} bad, {len(list(spec_table.good()))} good")


def test_each_bad_spec_is_refused_and_its_field_named(rest: Rest) -> None:
    wrong = []
    for field, value, words in spec_table.bad():
        status, answer = rest.tried(run_of("wrong", **spec_table.spec_with(field, value)))
        message = answer.get("message", "")
        if status not in (400, 422) or f"spec.{field}" not in message or words not in message:
            wrong.append(f"{field} = {value!r}: {status} {message}")
    assert wrong == []


def test_each_good_spec_is_taken_as_it_is(rest: Rest) -> None:
    wrong = []
    for field, value in spec_table.good():
        status, answer = rest.tried(run_of("right", **spec_table.spec_with(field, value)))
        if status != 201 or spec_table.at(answer["spec"], field) != value:
            wrong.append(f"{field} = {value!r}: {status} {answer}")
    assert wrong == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        *((name, "metadata.name must be at most 63 characters and hold no dot") for name in ("with.dot", "x" * 64)),
        *((name, "metadata.name: Invalid value") for name in ("Upper", "-dash", "dash-", "under_score", "two words")),
        ("", "name or generateName is required"),
    ],
)
def test_a_name_that_no_job_can_have_is_refused(rest: Rest, name: str, words: str) -> None:
    status, answer = rest.tried(run_of(name))
    assert (status, words in answer["message"]) == (422, True), answer["message"]


@pytest.mark.parametrize("body", [{"spec": []}, {"spec": "x"}, {"spec": 5}, {"spec": {}, "more": 1}])
def test_a_run_of_another_shape_is_refused(rest: Rest, body: dict[str, Any]) -> None:
    status, answer = rest.tried({**run_of("shape"), **body})
    assert status in (400, 422)
    assert ("more" if "more" in body else "spec") in answer["message"]
