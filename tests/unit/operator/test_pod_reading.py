"""What pods say is read as text from a stranger: cut, checked, never able to spoil a status."""

from datetime import UTC, datetime
from typing import Any

import pytest

from mlops_operator.api.training_run import Progress, parse
from mlops_operator.progress import clean
from mlops_operator.status.failure import plain, tail
from mlops_operator.status.pod import as_object, current_stage, newest, said
from mlops_operator.status.result import ResultError, duration, lineage, model, ratio, whole
from tests.unit.operator.training_run_world import SETTINGS, SHA256, VERSION, at, failed, ok, pod, run

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "x", "[1]", "null", '"a"', "{", "[" * 100_000])
def test_what_is_no_object_is_empty(text: str) -> None:
    assert as_object(text) == {}


def test_stage_of_a_failed_pod_is_the_one_that_failed() -> None:
    assert current_stage(pod("Failed", {"ingest": ok("ingest"), "preprocess": failed(1)})) == "Preprocess"


def test_newest_pod() -> None:
    first = pod("Failed", {}, name="a", created=at(1))
    second = pod("Pending", {}, name="b", created=at(5))
    assert newest([second, first]) == second
    assert newest([]) is None


def test_a_stage_that_wrote_no_json_said_nothing() -> None:
    assert said(pod("Failed", {"train": failed(1, "boom")}), "train") == {}
    assert said(pod("Pending", {}), "train") == {}


def test_the_tail_of_a_log_is_whole_lines_within_1_kib() -> None:
    text = "".join(f"line {i} äöü\n" for i in range(200))
    cut = tail(text)
    assert cut.splitlines()[0].startswith("line ")
    assert cut.endswith("line 199 äöü")
    assert 900 < len(cut.encode()) <= 1024
    assert tail("a\x1b[31mred\x00") == "a[31mred"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.5, "0.5000"), (1, "1.0000"), (1.5, None), (-1, None), (float("nan"), None), (True, None), ("1", None)],
)
def test_ratio(value: Any, shown: str | None) -> None:
    assert ratio(value) == shown


@pytest.mark.parametrize(("value", "kept"), [(3, 3), (-1, None), (2**40, None), (True, None), ("3", None)])
def test_whole(value: Any, kept: int | None) -> None:
    assert whole(value) == kept


@pytest.mark.parametrize(("seconds", "shown"), [(None, None), (5, "5s"), (84, "1m24s"), (7500, "2h05m")])
def test_duration(seconds: int | None, shown: str | None) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize("sha256", [None, 5, "", "xyz", SHA256.upper() + "0"])
def test_a_result_without_a_digest_is_refused(sha256: Any) -> None:
    with pytest.raises(ResultError, match=VERSION):
        model({"sha256": sha256}, "photos", VERSION, "SimpleCNN")


def test_the_models_address_is_never_taken_from_a_pod() -> None:
    found = model({"sha256": SHA256, "uri": "gs://evil/x"}, "photos", VERSION, "SimpleCNN")
    assert found["uri"] == f"gs://photos/models/cats-dogs/{VERSION}/model.pt"


def test_lineage_takes_only_printable_text() -> None:
    found = lineage({"dataVersion": "d1", "mlflowRunId": 5, "gitCommit": "a\nb"}, parse(run()), SETTINGS)
    assert found == {"dataVersion": "d1"}


def test_progress_keeps_what_is_in_range() -> None:
    said = {"stage": "train", "percent": 45.7, "epoch": 3, "epochs": 20, "valAccuracy": 0.8, "etaSeconds": 12.9}
    assert clean(said, "Train", NOW) == Progress("Train", NOW, 45, 3, 20, 0.8, 12)
    wild = {"stage": "train", "percent": 1e9, "epoch": "x", "epochs": -1, "valAccuracy": 7, "etaSeconds": []}
    assert clean(wild, "Train", NOW) == Progress("Train", NOW)
    assert clean(said, "Evaluate", NOW) is None
    assert clean({}, "Train", NOW) is None


def test_a_log_of_json_lines_is_told_as_its_messages() -> None:
    text = '{"severity": "INFO", "message": "epoch 3"}\nKilled\n{"no": "message"}\n[1]'
    assert plain(text) == 'epoch 3\nKilled\n{"no": "message"}\n[1]'
