"""When a run is made anew, what is shown of a running one, and the one line on a failed one."""

import io
from typing import Any

import pytest
from rich.console import Console

from demo import training
from demo.errors import DemoError
from demo.training import failure_line, follow, progress, reason_to_renew, stage_result, what_a_change_does
from devcluster.progress import Reporter

RAW, IMAGE = "f00d", "localhost:5000/cats-dogs/trainer@sha256:" + "1" * 64
WANTED: dict[str, Any] = {"spec": {"parameters": {"epochs": 20, "maxTrainSeconds": 120}}}


def live(
    succeeded: str = "Unknown", reason: str = "Training", spec: dict[str, Any] | None = None, **status: Any
) -> dict[str, Any]:
    finished = "False" if succeeded == "Unknown" else "True"
    return {
        "metadata": {"name": "cats-dogs-demo", "generation": 1},
        "spec": {"parameters": {"epochs": 20, "maxTrainSeconds": 120, "seed": 1, **(spec or {})}},
        "status": {
            "observedGeneration": 1,
            "conditions": [
                {
                    "type": "Succeeded",
                    "status": succeeded,
                    "reason": reason,
                    "message": "said",
                    "observedGeneration": 1,
                },
                {
                    "type": "Finished",
                    "status": finished,
                    "reason": reason,
                    "message": "said",
                    "observedGeneration": 1,
                },
            ],
            "rawHash": RAW,
            "image": IMAGE,
            **status,
        },
    }


@pytest.mark.parametrize(
    ("run", "has_model", "why"),
    [
        (live("True", "Completed"), True, ""),
        (live("Unknown", "Training"), False, ""),
        ({"metadata": {}, "spec": {"parameters": {"epochs": 20, "maxTrainSeconds": 120}}}, False, ""),
        (live("True", "Completed", {"epochs": 5}), True, "its epochs changed"),
        (live("True", "Completed", rawHash="beef"), True, "its photographs changed"),
        (live("Unknown", "Training", rawHash="beef"), False, "its photographs changed"),
        (live("True", "Completed", image="other@sha256:2"), True, "the trainer's code changed"),
        (live("False", "OOMKilled"), False, "it had failed"),
        (live("True", "Completed"), False, "its model is no longer in the bucket"),
    ],
)
def test_why_a_run_is_made_anew(run: dict[str, Any], has_model: bool, why: str) -> None:
    assert reason_to_renew(run, WANTED, RAW, IMAGE, has_model) == why


def test_a_run_is_followed_stage_by_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "POLL_SECONDS", 0)
    half = {"stage": "Train", "percent": 50, "epoch": 10, "epochs": 20, "valAccuracy": "0.7130"}
    seen = iter(
        [
            {"metadata": {"name": "cats-dogs-demo", "generation": 1}, "spec": {}},
            live(reason="Pending"),
            live(reason="Ingesting", stage="Ingest"),
            live(stage="Train", progress=half),
            live(stage="Train", progress={**half, "percent": 95, "epoch": 19, "valAccuracy": "0.8900"}),
            live("True", "Completed", stage="Evaluate"),
        ]
    )
    printed = io.StringIO()
    report = Reporter(Console(file=printed, width=200), clock=lambda: 0.0)

    with report.step("TrainingRun cats-dogs-demo") as step:
        run = follow(lambda: next(seen), step, report)

    assert run == live("True", "Completed", stage="Evaluate")
    assert printed.getvalue().splitlines() == [
        "· TrainingRun cats-dogs-demo …",
        "  · Ingest …",
        "  ✓ Ingest  0.0 s",
        "  · Train …",
        "  ✓ Train  0.0 s  epoch 19/20 · val accuracy 0.8900",
        "✓ TrainingRun cats-dogs-demo  0.0 s",
    ]


def test_an_operator_that_is_silent_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "SILENCE_SECONDS", -1.0)
    report = Reporter(Console(file=io.StringIO()))

    with (
        pytest.raises(DemoError, match="the operator has not looked at the TrainingRun"),
        report.step("run") as step,
    ):
        follow(lambda: {"metadata": {}, "spec": {}}, step, report)


def test_a_run_that_somebody_deletes_meanwhile() -> None:
    report = Reporter(Console(file=io.StringIO()))

    with pytest.raises(DemoError, match="deleted by somebody else"), report.step("run") as step:
        follow(lambda: None, step, report)


@pytest.mark.parametrize(
    ("found", "share", "words"),
    [
        ({}, None, ""),
        ({"stage": "Ingest", "percent": 25}, 0.25, ""),
        (
            {"stage": "Train", "percent": 50, "epoch": 10, "epochs": 20, "valAccuracy": "0.7130", "etaSeconds": 61},
            0.5,
            "epoch 10/20 · val accuracy 0.7130 · 1 min 01 s left",
        ),
        ({"stage": "Train", "epoch": 0}, None, "epoch 0"),
        ({"stage": "Evaluate", "percent": 10, "epoch": 20, "epochs": 20}, 0.1, ""),
    ],
)
def test_progress_leaves_out_what_is_unknown(found: dict[str, Any], share: float | None, words: str) -> None:
    assert progress(found) == (share, words)
    assert "left" not in stage_result(found)


@pytest.mark.parametrize(
    ("failure", "line"),
    [
        (
            {"stage": "Train", "reason": "OOMKilled", "message": "used 4Gi", "hint": "raise resources.memory"},
            "TrainingRun cats-dogs-demo failed in Train (OOMKilled): used 4Gi; raise resources.memory",
        ),
        ({}, "TrainingRun cats-dogs-demo failed (DeadlineExceeded): said"),
        (
            {"reason": "DataError", "message": "no photographs; put them there", "hint": "put them there"},
            "TrainingRun cats-dogs-demo failed (DataError): no photographs; put them there",
        ),
    ],
)
def test_a_failed_run_is_one_line(failure: dict[str, str], line: str) -> None:
    assert failure_line(live("False", "DeadlineExceeded", failure=failure)) == line


def test_a_reused_run_says_what_a_change_would_do() -> None:
    assert what_a_change_does() == (
        "Reused: the same photographs, parameters and code give the same model, so nothing was trained. "
        "Change spec.parameters (epochs, batchSize, learningRate, imageSize, seed) in "
        "examples/01-trainingrun.yaml and run again to train anew."
    )
