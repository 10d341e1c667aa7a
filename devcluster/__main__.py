"""The command line: `python -m devcluster [--context NAME] up | down | status | build | load IMAGE | kubeconfig`.

It reads the words and prints the answers; the work is done by the other modules.
"""

import argparse
import os
import signal
import sys
from pathlib import Path

from devcluster import cluster, images
from devcluster.errors import DevclusterError
from devcluster.progress import Reporter


def main() -> int:
    """Run one command; returns the exit status, 1 after a failure that was said in one line."""
    arguments = _parser().parse_args()
    report = Reporter()
    try:
        code: int = arguments.command(arguments, report)
    except DevclusterError as error:
        if not report.told(error):
            sys.stderr.write(f"devcluster: {error}\n")
        return 1
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m devcluster", description="A local Kubernetes cluster of real parts."
    )
    parser.add_argument("--context", help="a cluster of your kubeconfig instead; nothing of it is started or removed")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="start the cluster, or what is missing of it")
    up.add_argument("--control-plane", action="store_true", help="API server and controllers only, until Ctrl-C")
    up.set_defaults(command=_up)
    down = commands.add_parser("down", help="stop the local cluster and remove all that it left on the machine")
    down.set_defaults(command=_down)
    commands.add_parser("status", help="which parts run").set_defaults(command=_status)
    build = commands.add_parser(
        "build", help="build the images and push them to the cluster's registry, printing their digests"
    )
    build.add_argument("image", nargs="*", choices=[[], *images.IMAGES], help="all by default")
    build.set_defaults(command=_build)
    load = commands.add_parser("load", help="push an image of the builder's store to the cluster's registry")
    load.add_argument("image")
    load.set_defaults(command=_load)
    commands.add_parser("kubeconfig", help="print the path of the administrator's kubeconfig").set_defaults(
        command=_kubeconfig
    )
    return parser


def _up(arguments: argparse.Namespace, report: Reporter) -> int:
    if arguments.control_plane:
        with cluster.isolated_control_plane(report) as isolated:
            report.note(f"export KUBECONFIG={isolated.kubeconfig}")
            report.note("Ctrl-C ends it and removes it")
            try:
                signal.pause()
            except KeyboardInterrupt:
                return 0
        return 0
    running = cluster.up(report, arguments.context)
    report.note(cluster.nodes(running).rstrip())
    if running.kubeconfig:
        report.note(f"export KUBECONFIG={running.kubeconfig}")
    return 0


def _down(arguments: argparse.Namespace, report: Reporter) -> int:
    with report.step("Removing the cluster") as step:
        stopped = cluster.down(arguments.context)
        step.done(f"{len(stopped)} parts stopped" if stopped else "there was none")
    return 0


def _status(arguments: argparse.Namespace, report: Reporter) -> int:
    parts = cluster.status(arguments.context)
    for name, words in parts.items():
        report.note(f"{name:26} {words or 'DOES NOT RUN'}")
    if not parts:
        report.note("no cluster: `python -m devcluster up` starts one")
    return 0 if parts and all(parts.values()) else 1


def _build(arguments: argparse.Namespace, report: Reporter) -> int:
    names = arguments.image or list(images.IMAGES)
    for name, reference in cluster.build(names, report, arguments.context).items():
        report.note(f"{name:14} {reference}")
    return 0


def _load(arguments: argparse.Namespace, report: Reporter) -> int:
    with report.step(f"Loading {arguments.image}"):
        reference = cluster.load(arguments.image, arguments.context)
    report.note(reference)
    return 0


def _kubeconfig(arguments: argparse.Namespace, report: Reporter) -> int:
    own = os.environ.get("KUBECONFIG") or Path.home() / ".kube" / "config"
    report.note(str(cluster.found(arguments.context).kubeconfig or own))
    return 0


if __name__ == "__main__":
    sys.exit(main())
