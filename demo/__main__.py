"""The command line: `python -m demo up [--data PATH] [--photos N] [--context NAME] | down | preflight | operator |
monitoring`.

It only puts the parts in order and prints; each part says itself what failed.
"""

import argparse
import os
import sys
from pathlib import Path

from demo import deploy, monitoring, operator_local, preflight, serving, summary, training
from demo.dataset import Dataset, obtain
from demo.errors import DemoError
from demo.kubectl import of
from demo.store import Store
from devcluster import cluster, paths
from devcluster.errors import DevclusterError
from devcluster.progress import Reporter

QUESTIONS_EACH = 4


def up(data: Path | None, photos: int | None, context: str | None, report: Reporter) -> None:
    """From whatever is there to answered photographs; a second call reuses what the first one left."""
    if context is None:
        check()
    dataset = obtain(data, photos, paths.cache(), report)
    report.note(f"{dataset.count:,} pictures: {dataset.source}")
    with report.step("Cluster") as step:
        running = cluster.up(report, context)
        step.done(running.context)
    kubectl = of(running)
    references = deploy.references(context, os.environ, report)
    deploy.install(kubectl, references, report)
    store = Store(deploy.address(kubectl, "object-store", 4443))
    raw_hash = store.sync(dataset, report)
    result = training.train(kubectl, raw_hash, references["trainer"], store.holds, report)
    url = serving.serve(kubectl, result.status["model"]["sha256"], report)
    answers = ask(url, store, dataset, result, report)
    report.show(summary.answers(answers))
    report.note(summary.accuracy(result.status, dataset.drawn), style="bold")
    if result.reused:
        report.note(training.what_a_change_does())
    mlflow = deploy.address(kubectl, "mlflow-service", 5000)
    report.note("")
    report.show(summary.places(url, mlflow, result.status["model"]["uri"], kubectl.words(), removal(context)))
    report.show(summary.timings(report.timings))


def ask(url: str, store: Store, dataset: Dataset, result: training.Result, report: Reporter) -> list[serving.Answer]:
    """Send a few photographs of the test split, which the model never saw, to /predict."""
    version = result.status["lineage"]["dataVersion"]
    with report.step("Asking about photographs it never saw") as step:
        manifest = store.read_json(f"datasets/cats-dogs/{version}/ingested/manifest.json")
        answers = [
            serving.ask(url, name, truth, dataset.pictures[name])
            for name, truth in serving.unseen(manifest, QUESTIONS_EACH)
        ]
        step.done(f"{sum(answer.right for answer in answers)} of {len(answers)} right")
    return answers


def removal(context: str | None) -> str:
    """How all of it is removed again."""
    return f"delete -f crds/ and the namespaces cats-dogs, {deploy.SYSTEM} of {context}" if context else "make down"


def check() -> None:
    """Raise DemoError with one line for each thing that the machine lacks."""
    if lines := preflight.missing(preflight.gather()):
        raise DemoError("\n".join(lines))


def down(context: str | None, report: Reporter) -> None:
    """Stop the local cluster and remove all that it left on the machine; caches stay. Never a cluster of the user's."""
    with report.step("Removing the local cluster") as step:
        stopped = cluster.down(context)
        step.done(f"{len(stopped)} parts stopped" if stopped else "there was none")


def main() -> int:
    """Run one command; returns the exit status: 1 after a failure that was said in one line, 130 after Ctrl-C."""
    arguments = _parser().parse_args()
    report = Reporter()
    try:
        if arguments.command == "up":
            up(arguments.data, arguments.photos, arguments.context, report)
        elif arguments.command == "down":
            down(arguments.context, report)
        elif arguments.command == "monitoring":
            report.note(f"{monitoring.start(arguments.context, report)}/api/v1/query?query=up")
        elif arguments.command == "operator":
            return operator_local.run(report)
        else:
            check()
            report.note("✓ nothing is missing")
    except (DemoError, DevclusterError) as error:
        if not report.told(error):
            for line in str(error).splitlines():
                report.note(f"✗ {line}", style="red")
        return 1
    except KeyboardInterrupt:
        report.note("interrupted; what was started stays: run again to go on, `make down` to remove it")
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m demo", description="Train and serve on a local cluster.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    starting = commands.add_parser("up", help="set all up, train, serve, ask; reuses what is there")
    starting.add_argument("--data", type=Path, help="a folder with Cat/ and Dog/, or a zip of it")
    starting.add_argument("--photos", type=int, help="how many photographs, half of each class")
    starting.add_argument("--context", help="a context of your kubeconfig instead of the local cluster")
    removing = commands.add_parser("down", help="remove the local cluster; caches stay")
    removing.add_argument("--context", help="refused: a cluster of yours is left as it is")
    watching = commands.add_parser("monitoring", help="alerts, and a Prometheus on what the cluster has to be scraped")
    watching.add_argument("--context", help="a context of your kubeconfig instead of the local cluster")
    commands.add_parser("preflight", help="say what this machine lacks")
    commands.add_parser("operator", help="run the operator of this checkout against the local cluster")
    return parser


if __name__ == "__main__":
    sys.exit(main())
