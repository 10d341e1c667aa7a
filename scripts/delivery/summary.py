"""Writes the job's summary as Markdown: `summary.py RUN SERVER [PLOTS]`, to GITHUB_STEP_SUMMARY, else to the output.

It tells what is there, also after a failure: what can't be read is left out, and it never fails a delivery itself.
"""

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from actions import DeliveryError
from kube import Resource, condition, get
from serve import KIND as SERVER
from train import KIND as RUN
from train import NAMESPACE

METRICS = {
    "testAccuracy": "accuracy",
    "testLoss": "loss (cross entropy, nats)",
    "rocAuc": "area under the ROC curve",
}


def table(titles: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table; a bar in a cell does not end it."""
    titles = list(titles)
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in lines)


def metrics(model: dict[str, Any]) -> str:
    """Each metric with its 95 % interval."""
    rows = [
        (words, model[name], f"{model.get(f'{name}Low', '')} to {model.get(f'{name}High', '')}")
        for name, words in METRICS.items()
        if name in model
    ]
    return table([f"on {model.get('testCount', '?')} photographs of the test split", "value", "95 % interval"], rows)


def confusion(folder: Path | None) -> str:
    """The confusion matrix of metrics.json, or nothing."""
    file = folder / "metrics.json" if folder else None
    if file is None or not file.exists():
        return ""
    counts = json.loads(file.read_text()).get("confusion")
    if not counts:
        return ""
    rows = [(f"**{truth}**", *row) for truth, row in zip(("cat", "dog"), counts, strict=False)]
    return table(["truth \\ answer", "cat", "dog"], rows)


def lineage(found: Resource) -> str:
    """Where the model comes from."""
    status = found.get("status", {})
    traced, model = status.get("lineage", {}), status.get("model", {})
    rows = {
        "TrainingRun": f"`{found['metadata']['name']}`: {condition(found, 'Succeeded').get('reason', 'unknown')}",
        "trained by": traced.get("trainedBy"),
        "commit": commit(traced.get("gitCommit", "")),
        "photographs": status.get("rawHash"),
        "prepared data": traced.get("dataVersion"),
        "trainer image": status.get("image"),
        "model": model.get("uri"),
        "SHA-256": model.get("sha256"),
        "stopped by": model.get("stoppedBy"),
        "MLflow": traced.get("mlflowRunUrl") or traced.get("mlflowMissed"),
    }
    return table(["lineage", ""], [(name, value) for name, value in rows.items() if value])


def commit(sha: str) -> str:
    """A link to the commit, where GitHub runs this."""
    repository = os.environ.get("GITHUB_REPOSITORY")
    return (
        f"[{sha[:12]}]({os.environ.get('GITHUB_SERVER_URL')}/{repository}/commit/{sha})" if sha and repository else sha
    )


def serving(found: Resource) -> str:
    """What serves, by whose word, and where."""
    status = found.get("status", {})
    settled, gate, url = condition(found, "Settled"), status.get("gate", {}), status.get("url", "").rstrip("/")
    rows = {
        "ModelServer": f"`{found['metadata']['name']}`: {settled.get('reason', 'unknown')}",
        "because": settled.get("message"),
        "serves": status.get("model", {}).get("version"),
        "gate": gate.get("verdict"),
        "candidate less serving": gate.get("difference"),
        "the gate's report": gate.get("report"),
        "page": url,
        "predict": url and f"`curl -F file=@cat.jpg {url}/predict`",
    }
    return table(["serving", ""], [(name, value) for name, value in rows.items() if value])


def pictures(folder: Path | None) -> str:
    """Names of the plots, and where to find them: GitHub shows no picture of an artifact in a summary."""
    names = sorted(file.name for file in folder.glob("*.png")) if folder and folder.is_dir() else []
    if not names:
        return ""
    url = os.environ.get("PLOTS_URL")
    where = f"[the artifact]({url})" if url else f"{folder}"
    return f"Plots in {where}: {', '.join(names)}"


def look(kind: str, name: str) -> tuple[Resource | None, str]:
    """An object, or why there is none to see."""
    if not name:
        return None, ""
    try:
        return get(kind, name, NAMESPACE), ""
    except DeliveryError as trouble:
        return None, str(trouble)


def main() -> None:
    """Put the parts together."""
    run_name, server_name, *more = [*sys.argv[1:], "", ""]
    folder = Path(more[0]) if more[0] else None
    (run, no_run), (server, no_server) = look(RUN, run_name), look(SERVER, server_name)
    parts = ["## Delivery", no_run, no_server]
    if run is not None:
        model = run.get("status", {}).get("model", {})
        parts += [
            metrics(model) if model else condition(run, "Succeeded").get("message", ""),
            confusion(folder),
            lineage(run),
        ]
        parts += [f"> {warning}" for warning in run.get("status", {}).get("warnings", ())]
    if server is not None:
        parts.append(serving(server))
    parts.append(pictures(folder))
    text = "\n\n".join(part for part in parts if part) + "\n"
    if file := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(file).open("a") as out:
            out.write(text)
    else:
        print(text)


if __name__ == "__main__":
    main()
