"""Applies the ModelServer for a run: `serve.py RUN`; outputs `server` and `generation`, what to wait for.

It refuses a server that a person has stopped or pinned: a delivery must not undo that, and could never settle.
"""

import sys

from actions import DeliveryError, output, run, setting
from kube import apply, get
from render import manifest
from train import NAMESPACE

KIND = "modelservers.mlops.cats-dogs.io"
SERVER = "cats-dogs-api"


def serve() -> None:
    """Apply deploy/delivery/modelserver.yaml for the run named on the command line."""
    setting("SERVER_IMAGE")
    text = manifest("modelserver.yaml", RUN=sys.argv[1])
    name = next(line.split()[1] for line in text.splitlines() if line.startswith("  name: "))
    spec = (get(KIND, name, NAMESPACE) or {}).get("spec", {})
    for field in ("rollbackTo", "stop"):
        if spec.get(field):
            change = f'kubectl patch -n {NAMESPACE} msrv/{name} --type=merge -p \'{{"spec":{{"{field}":null}}}}\''
            raise DeliveryError(
                "Held by hand", f"spec.{field} of ModelServer {NAMESPACE}/{name} is set: when it may move on, {change}"
            )
    applied = apply(f"Applying ModelServer {name}", text)
    output("server", name)
    output("generation", str(applied["metadata"]["generation"]))


if __name__ == "__main__":
    run(serve)
