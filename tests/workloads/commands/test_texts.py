"""What the commands print: bar, tables and the comparison of two runs, written out."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path

import pytest

from catsdogs.commands import compare, table
from catsdogs.commands.bar import Bar, line
from catsdogs.pipeline.history import Run


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        ({"stage": "ingest", "percent": 50}, "ingest      ████████████░░░░░░░░░░░░   50 %"),
        (
            {"stage": "train", "percent": 25, "epoch": 5, "epochs": 20, "valAccuracy": 0.7512, "etaSeconds": 90},
            "train       ██████░░░░░░░░░░░░░░░░░░   25 %  epoch 5/20  accuracy 0.751  90 s left",
        ),
        ({}, "            ░░░░░░░░░░░░░░░░░░░░░░░░    0 %"),
    ],
)
def test_the_bar(report: dict[str, object], expected: str) -> None:
    assert line(report) == expected


def test_on_a_terminal_lines_are_printed_above_the_bar_and_it_is_gone_at_the_end(tmp_path: Path) -> None:
    out = Terminal()
    file = tmp_path / "progress.json"

    with Bar(file, out) as bar:
        file.write_text(json.dumps({"stage": "ingest", "percent": 50}))
        while "50 %" not in out.getvalue():
            bar.ended.wait(0.01)
        bar.say("ingest: one was set aside")

    assert "\r\x1b[Kingest: one was set aside\n" in out.getvalue()
    assert out.getvalue().endswith("\r\x1b[K")


def test_elsewhere_there_are_lines_and_nothing_else(tmp_path: Path) -> None:
    out = io.StringIO()

    with Bar(tmp_path / "progress.json", out) as bar:
        (tmp_path / "progress.json").write_text(json.dumps({"stage": "ingest", "percent": 50}))
        bar.say("ingest: one was set aside")

    assert out.getvalue() == "ingest: one was set aside\n"


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 * 2**40, "3.0 TiB"), (2**51, "2048.0 TiB")]
)
def test_sizes(count: int, text: str) -> None:
    assert table.size(count) == text


ONE = Run(
    name="run1",
    parameters={"epochs": 20, "seed": 1},
    metrics={"testAccuracy": 0.7, "testAccuracyLow": 0.65, "testAccuracyHigh": 0.75, "testCount": 300, "bins": [1]},
    training={"bestEpoch": 3, "stoppedBy": "epochs"},
    lineage={"dataVersion": "d1", "sha256": "a" * 64, "image": "registry.example/t@sha256:" + "b" * 64},
    curves=[{"epoch": n, "valAccuracy": value} for n, value in enumerate((0.5, 0.58, 0.74))],
)
OTHER = dataclasses.replace(
    ONE,
    name="run2",
    parameters={"epochs": 40, "seed": 1},
    metrics={**ONE.metrics, "testAccuracy": 0.8, "testAccuracyLow": 0.76, "testAccuracyHigh": 0.84},
    training={"bestEpoch": 9, "stoppedBy": "early"},
    lineage={**ONE.lineage, "sha256": "c" * 64},
    curves=[{"epoch": n, "valAccuracy": value} for n, value in enumerate((0.5, 0.9))],
)


def test_two_runs_side_by_side() -> None:
    assert compare.comparison(ONE, OTHER).splitlines() == [
        "                run1                run2                difference",
        "",
        "metrics",
        "  testAccuracy  0.7 (0.65 to 0.75)  0.8 (0.76 to 0.84)  +0.1",
        "  testCount     300                 300                 =",
        "",
        "training",
        "  bestEpoch     3                   9                   +6",
        "  stoppedBy     epochs              early               differs",
        "",
        "parameters",
        "  epochs        20                  40                  +20",
        "",
        "lineage",
        "  sha256        aaaaaaaaaaaa        cccccccccccc        differs",
        "",
        "curves",
        "  valAccuracy   ▁▂▅ 0.500 to 0.740  ▁█ 0.500 to 0.900",
        "",
        "The second is better on its test split: the 95 % intervals do not touch.",
    ]


def test_a_run_compared_with_itself_is_equal() -> None:
    text = compare.comparison(ONE, ONE)

    assert text.count("all equal") == 2
    assert text.endswith("The 95 % intervals of the accuracy overlap: the difference may be chance.")


def test_a_long_curve_is_thinned_to_its_first_and_last_points() -> None:
    drawn = compare.sparkline([float(n) for n in range(500)], 0, 499)

    assert (len(drawn), drawn[0], drawn[-1]) == (24, "▁", "█")
