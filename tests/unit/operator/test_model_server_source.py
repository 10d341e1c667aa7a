"""Which model modelFrom names, in each state of the runs it may name. Nothing is applied here."""

import pytest

from mlops_operator.api.model_server import Model, Observed, model_json_uri
from mlops_operator.reconcile.model_source import Candidate, find_candidate, model_served
from tests.unit.operator.model_server_world import A, B, deployed, record, run, server

NAMED = {"modelFrom": {"trainingRun": "demo"}}
FOLLOW = {"modelFrom": {"selector": {"matchLabels": {"track": "main"}}}}
FIXED = {"modelFrom": {"uri": "gs://b/models/x/model.pt", "sha256": A}}
MODEL_A = Model("gs://b/models/cats-dogs/aaaa/model.pt", A, "aaaa", "demo", "0.9100")


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        (
            (),
            Candidate(
                reason="WaitingForTrainingRun",
                message="TrainingRun demo does not exist in namespace team: apply it, or correct modelFrom",
            ),
        ),
        (
            ({"metadata": {"name": "demo"}},),
            Candidate(reason="WaitingForTrainingRun", message="TrainingRun demo has not begun"),
        ),
        (
            (run("demo", "Unknown", "Training", "epoch 3 of 20"),),
            Candidate(reason="WaitingForTrainingRun", message="TrainingRun demo is at work: Training: epoch 3 of 20"),
        ),
        (
            (run("demo", "False", "DataError", "no photographs"),),
            Candidate(reason="TrainingRunFailed", message="TrainingRun demo failed: DataError: no photographs"),
        ),
        ((run("demo", "True", "Completed", sha256=A),), Candidate(model=MODEL_A, run="demo")),
        (
            (run("demo", "True", "Reused", sha256=A), run("other", "True", "Completed", sha256=B)),
            Candidate(model=MODEL_A, run="demo"),
        ),
    ],
)
def test_named_run(runs: tuple[dict[str, object], ...], expected: Candidate) -> None:
    assert find_candidate(server(NAMED), Observed(training_runs=runs)) == expected


def test_selector_takes_the_newest_that_succeeded() -> None:
    labels = {"track": "main", "team": "pets"}
    runs = (
        run("old", "True", "Completed", sha256=A, labels=labels, created="2026-01-01T00:00:00Z"),
        run("new", "True", "Completed", sha256=B, labels=labels, created="2026-01-02T00:00:00Z"),
        run("newer", "Unknown", "Training", labels=labels, created="2026-01-03T00:00:00Z"),
        run("elsewhere", "True", "Completed", sha256=A, labels={"track": "x"}, created="2026-01-04T00:00:00Z"),
    )
    found = find_candidate(server(FOLLOW), Observed(training_runs=runs))
    assert (found.run, found.model and found.model.sha256) == ("new", B)


def test_selector_says_what_it_waits_for() -> None:
    nothing = find_candidate(server(FOLLOW), Observed())
    assert nothing == Candidate(
        reason="WaitingForTrainingRun",
        message="no TrainingRun in namespace team has the labels track=main: apply one",
    )
    runs = (run("first", "Unknown", "Pending", "no pod yet", labels={"track": "main"}),)
    waiting = find_candidate(server(FOLLOW), Observed(training_runs=runs))
    assert waiting == Candidate(
        reason="WaitingForTrainingRun",
        message="none of 1 with the labels track=main has succeeded: TrainingRun first is at work: Pending: no pod yet",
    )


def test_fixed_uri_takes_its_name_from_model_json_of_the_same_digest() -> None:
    described = {
        "sha256": A,
        "version": "v1",
        "metrics": {"testAccuracy": 0.90625},
        "lineage": {"trainingRun": "team/demo"},
    }
    uri = "gs://b/models/x/model.pt"
    assert model_json_uri(server(FIXED)) == "gs://b/models/x/model.json"
    assert find_candidate(server(FIXED), Observed(model=described)).model == Model(uri, A, "v1", "demo", "0.9062")
    assert find_candidate(server(FIXED), Observed(model={**described, "sha256": B})).model == Model(uri, A, A[:12])
    assert find_candidate(server(FIXED), Observed()).model == Model(uri, A, A[:12])


def test_served_file_keeps_its_name_while_model_json_comes_and_goes() -> None:
    described = Observed(model={"sha256": A, "version": "v1"})
    deployment = deployed(server(FIXED), described)
    found = find_candidate(server(FIXED), Observed(deployment=deployment)).model
    assert found == Model("gs://b/models/x/model.pt", A, "v1")


def test_deleted_run_stays_the_candidate_while_its_model_is_served() -> None:
    deployment = deployed(server(NAMED), Observed(training_runs=(run("demo", "True", "Completed", sha256=A),)))
    resource = server(NAMED, {"model": record(A, "demo")})
    assert find_candidate(resource, Observed(deployment=deployment)) == Candidate(model=MODEL_A, run="demo")


def test_model_served_is_the_deployments_before_the_statuss() -> None:
    deployment = deployed(server(NAMED), Observed(training_runs=(run("demo", "True", "Completed", sha256=A),)))
    told = {"model": record(B, "other", "0.8000")}
    seen = Observed(deployment=deployment)
    assert model_served(server(NAMED, told), seen) == Model(MODEL_A.uri, A, "aaaa", "demo")
    assert model_served(server(NAMED, told), Observed()) == Model(
        "gs://b/models/cats-dogs/bbbb/model.pt", B, "bbbb", "other", "0.8000"
    )
    assert model_served(server(NAMED), Observed()) is None
