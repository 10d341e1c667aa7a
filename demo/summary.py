"""What a person sees at the end: the answers, the accuracy, the addresses, and where the time went.

It must not fetch anything; it only lays out what it is given.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from demo.serving import Answer
from devcluster.progress import Timing, duration

WORTH_SECONDS = 1.0  # an inner step that took less is not worth a row


def answers(given: Sequence[Answer]) -> Table:
    """One row for each photograph that /predict was asked about."""
    table = Table("", "photograph", "answer", "confidence", "time", box=SIMPLE_HEAD, title="POST /predict")
    table.title_justify = "left"
    for answer in given:
        mark = Text("✓", "bold green") if answer.right else Text("✗", "bold red")
        took = f"{answer.milliseconds:.0f} ms"
        table.add_row(mark, answer.name, answer.label, f"{answer.confidence:.1%}", took)
    return table


def accuracy(status: Mapping[str, Any], drawn: bool) -> str:
    """The model's accuracy on the test split with its interval, and on what it was measured."""
    model = status.get("model", {})
    kind = "drawings" if drawn else "photographs"
    value, low, high = (f"{float(model[name]):.1%}" for name in ("testAccuracy", "testAccuracyLow", "testAccuracyHigh"))
    return f"Accuracy {value} on {model.get('testCount', '?')} {kind} of the test split (95 % interval {low} to {high})"


def places(page: str, mlflow: str, model: str, words: str, removal: str) -> Table:
    """Where to go from here: addresses to open, the model's file, and the way to kubectl."""
    table = Table.grid(padding=(0, 2))
    rows = {
        "Try it in a browser": page,
        "MLflow": mlflow,
        "Model": model,
        "kubectl": words,
        "Watch": "kubectl get -n cats-dogs trun,msrv",
        "Remove all of it": removal,
    }
    for title, value in rows.items():
        table.add_row(Text(title, style="dim"), Text(value, overflow="fold"))
    return table


def timings(steps: Sequence[Timing]) -> Table:
    """How long each outermost step took, the steps within it indented below, and all of them together."""
    table = Table("step", "time", box=SIMPLE_HEAD)
    table.columns[1].justify = "right"
    within: list[Timing] = []  # inner steps end before the step that holds them
    for step in steps:
        if step.depth == 0:
            table.add_row(step.title, duration(step.seconds))
            for inner in within:
                table.add_row(f"  {inner.title}", duration(inner.seconds), style="dim")
            within = []
        elif step.depth == 1 and step.seconds >= WORTH_SECONDS:
            within.append(step)
    whole = sum(step.seconds for step in steps if step.depth == 0)
    table.add_row(Text("all", "bold"), Text(duration(whole), "bold"))
    return table
