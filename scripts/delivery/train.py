"""Applies the TrainingRun of this commit, or finds the one that is there: outputs `run`, its name.

The name is that of the commit that last changed what training depends on: the trainer image's inputs and the manifest.
So a push that changed nothing of it trains nothing, whatever became of the pushes between. ANEW=true makes another run
of the same commit, for photographs that changed: the operator ends it as Reused when they did not.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from actions import DeliveryError, output, run, setting
from kube import CONFLICT, Resource, apply, condition, get
from render import manifest

HERE = Path(__file__).parent
MANIFEST = "trainingrun.yaml"
KIND = "trainingruns.mlops.cats-dogs.io"
NAMESPACE = os.environ.get("NAMESPACE") or "cats-dogs"
MOST = 50  # runs of one commit


def names(commit: str) -> Iterator[str]:
    """The names that runs of a commit get, the first first; 63 characters at most, DNS labels."""
    yield f"cats-dogs-{commit[:12]}"
    yield from (f"cats-dogs-{commit[:12]}-{number}" for number in range(2, MOST + 1))


def last_change() -> str:
    """The commit that last changed an input of the training, of HEAD's history."""
    inputs = _output(HERE / "tag", "--inputs", "trainer").split()
    found = _output("git", "log", "-1", "--format=%H", "HEAD", "--", *inputs, f"deploy/delivery/{MANIFEST}").strip()
    if not found or _output("git", "rev-parse", "--is-shallow-repository").strip() == "true":
        raise DeliveryError(
            "History missing", "the checkout has not the whole history: set fetch-depth: 0 at actions/checkout"
        )
    return found


def _output(*command: str | Path) -> str:
    done = subprocess.run(command, cwd=HERE.parents[1], text=True, capture_output=True, check=False)
    if done.returncode:
        raise DeliveryError("Failed", f"`{' '.join(map(str, command))}`: {done.stderr.strip()}")
    return done.stdout


def usable(found: Resource, image: str, anew: bool) -> bool:
    """Whether a run that is there is this delivery's: of the same image, not failed, and not asked for anew."""
    if found["spec"].get("image") != image or condition(found, "Succeeded").get("status") == "False":
        return False
    return not (anew and condition(found, "Finished").get("status") == "True")


def train() -> None:
    """Apply the run under the first name that is free or whose run is usable."""
    commit, image, anew = last_change(), setting("TRAINER_IMAGE"), os.environ.get("ANEW") == "true"
    setting("BUCKET")
    for name in names(commit):
        found = get(KIND, name, NAMESPACE)
        if found is not None and not usable(found, image, anew):
            continue
        try:
            applied = apply(f"Applying TrainingRun {name}", manifest(MANIFEST, RUN=name, GIT_COMMIT=commit))
        except DeliveryError as refused:
            if CONFLICT in str(refused):  # of other parameters: made by hand, or of another MANIFESTS
                continue
            raise
        print(json.dumps(applied["spec"]), flush=True)
        output("run", name)
        output("commit", commit)
        return
    raise DeliveryError(
        "Too many runs", f"{MOST} TrainingRuns of commit {commit[:12]} are there, none of use: delete some of them"
    )


if __name__ == "__main__":
    run(train)
