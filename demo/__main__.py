"""The command line: `python -m demo up [--data PATH] [--photos N] [--context NAME] | down | preflight | operator`.

It only puts the parts in order and prints; each part says itself what failed.
"""

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from demo import deploy, operator_local, preflight, serving, summary, training
from demo.dataset import Dataset, obtain
from demo.errors import DemoError
from demo.kubectl import Kubectl, existing, own
from demo.store import Store
from devcluster import cluster, images, paths
from devcluster.errors import DevclusterError
from devcluster.progress import Reporter

QUESTIONS_EACH = 4


def up(data: Path | None, photos: int | None, context: str | None, report: Reporter) -> None:
    """From whatever is there to answered photographs; a second call reuses what the first one left."""
    if context is None:
        check()
    dataset = obtain(data, photos, paths.cache(), report)
    report.note(f"{dataset.count:,} pictures: {dataset.source}")
    kubectl, references = target(context, os.environ, report)
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
    report.show(summary.places(url, mlflow, result.status["model"]["uri"], kubectl.words()))
    report.show(summary.timings(report.timings))


def target(context: str | None, environment: Mapping[str, str], report: Reporter) -> tuple[Kubectl, dict[str, str]]:
    """The cluster to work on and the images it can pull: the local one, or one of the user's kubeconfig."""
    if context is not None:
        return existing(context, environment), deploy.given_images(environment)
    with report.step("Local cluster") as step:
        running = cluster.up(report)
        step.done(running.context)
    with report.step("Images") as step:
        references = images.build(deploy.IMAGES, report)
        step.done(f"{len(references)} in the cluster's registry")
    return own(running.kubeconfig), references


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


def check() -> None:
    """Raise DemoError with one line for each thing that the machine lacks."""
    if lines := preflight.missing(preflight.gather()):
        raise DemoError("\n".join(lines))


def down(report: Reporter) -> None:
    """Stop the local cluster and remove all that it left on the machine; caches stay."""
    with report.step("Removing the local cluster") as step:
        stopped = cluster.down()
        step.done(f"{len(stopped)} programs stopped" if stopped else "there was none")


def main() -> int:
    """Run one command; returns the exit status: 1 after a failure that was said in one line, 130 after Ctrl-C."""
    arguments = _parser().parse_args()
    report = Reporter()
    try:
        if arguments.command == "up":
            up(arguments.data, arguments.photos, arguments.context, report)
        elif arguments.command == "down":
            down(report)
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
    commands.add_parser("down", help="remove the local cluster; caches stay")
    commands.add_parser("preflight", help="say what this machine lacks")
    commands.add_parser("operator", help="run the operator of this checkout against the local cluster")
    return parser


if __name__ == "__main__":
    sys.exit(main())
