"""The command line: `python -m devcluster up | down | status | build | load IMAGE | kubeconfig`.

It reads the words and prints the answers; the work is done by the other modules.
"""

import argparse
import signal
import sys

from devcluster import cluster, images, paths
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
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="start the cluster, or what is missing of it")
    up.add_argument("--control-plane", action="store_true", help="API server and controllers only, until Ctrl-C")
    up.set_defaults(command=_up)
    down = commands.add_parser("down", help="stop the cluster and remove all that it left on the machine")
    down.set_defaults(command=_down)
    commands.add_parser("status", help="which parts run").set_defaults(command=_status)
    build = commands.add_parser("build", help="build the images and load them, printing their digests")
    build.add_argument("image", nargs="*", choices=[[], *images.IMAGES], help="all by default")
    build.set_defaults(command=_build)
    load = commands.add_parser("load", help="load an image of this machine's buildah store into the cluster")
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
    running = cluster.up(report)
    report.note(cluster.nodes(running).rstrip())
    report.note(f"export KUBECONFIG={running.kubeconfig}")
    return 0


def _down(_: argparse.Namespace, report: Reporter) -> int:
    with report.step("Removing the cluster") as step:
        stopped = cluster.down()
        step.done(f"{len(stopped)} programs stopped" if stopped else "there was none")
    return 0


def _status(_: argparse.Namespace, report: Reporter) -> int:
    parts = cluster.status()
    for name, pid in parts.items():
        report.note(f"{name:26} {f'runs, pid {pid}' if pid else 'DOES NOT RUN'}")
    if not parts:
        report.note("no cluster: `python -m devcluster up` starts one")
    return 0 if parts and all(parts.values()) else 1


def _build(arguments: argparse.Namespace, report: Reporter) -> int:
    for name, reference in images.build(arguments.image or list(images.IMAGES), report).items():
        report.note(f"{name:14} {reference}")
    return 0


def _load(arguments: argparse.Namespace, report: Reporter) -> int:
    with report.step(f"Loading {arguments.image}"):
        reference = images.load(arguments.image)
    report.note(reference)
    return 0


def _kubeconfig(_: argparse.Namespace, report: Reporter) -> int:
    file = paths.node_state().kubeconfig
    if not file.exists():
        raise DevclusterError("there is no cluster: `python -m devcluster up` starts one")
    report.note(str(file))
    return 0


if __name__ == "__main__":
    sys.exit(main())
