"""What GitHub Actions reads of a step: outputs for later steps, and one line for why it failed.

Nothing here knows a cluster or a cloud. Standard library alone, as all of this folder: a runner has no more.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path


class DeliveryError(Exception):
    """The end of a step. `title` is two or three words, the message one line: what, where, what next."""

    def __init__(self, title: str, message: str) -> None:
        super().__init__(message)
        self.title = title


def output(name: str, value: str) -> None:
    """Hand a one-line value to later steps, and show it in the log."""
    line = f"{name}={' '.join(value.split())}"
    print(line, flush=True)
    if file := os.environ.get("GITHUB_OUTPUT"):
        with Path(file).open("a") as out:
            out.write(line + "\n")


def error(title: str, message: str) -> str:
    """A line that GitHub shows on top of the run, for standard error: the output may be on its way into a pipe."""
    return f"::error title={title}::{' '.join(message.split()).replace('%', '%25')}"


def warn(title: str, message: str) -> None:
    """Print a line that GitHub shows on top of the run, which goes on."""
    print(error(title, message).replace("::error", "::warning", 1), file=sys.stderr)


def setting(name: str) -> str:
    """An environment variable. Raises DeliveryError that says where it is set when it is missing."""
    if value := os.environ.get(name):
        return value
    raise DeliveryError("Setting missing", f"{name} is not set; {where(name)}")


def where(name: str) -> str:
    """Where a person sets what this folder reads from the environment."""
    return (
        PLACES.get(name)
        or "set it under Settings > Secrets and variables > Actions > Variables; "
        f"`terraform output -raw {name.lower()}` in deploy/gcp prints it"
    )


PLACES = {
    "OPERATOR_IMAGE": "run `scripts/delivery/image find operator` before this step",
    "TRAINER_IMAGE": "run `scripts/delivery/image find trainer` before this step",
    "SERVER_IMAGE": "run `scripts/delivery/image find server` before this step",
    "REGISTRY": "set it to HOST/PATH of the images, such as REGION-docker.pkg.dev/PROJECT/cats-dogs",
}


def run(step: Callable[[], None]) -> None:
    """Run a step; a DeliveryError is one line and the exit status 1."""
    try:
        step()
    except DeliveryError as end:
        print(error(end.title, str(end)), file=sys.stderr)
        sys.exit(1)
