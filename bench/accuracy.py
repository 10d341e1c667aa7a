"""Accuracy on unseen photographs within a time from raw photographs to model.pt, by `catsdogs run` as a user runs it.

    python -m bench.accuracy --data FOLDER [--seconds 600] [--seeds 1 2 3] [--architectures SimpleCNN DeepCNN]

FOLDER holds Cat/ and Dog/. It must not choose anything by what it sees: all that differs between runs is the seed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from catsdogs import key

AROUND = 40  # seconds kept for what is not training: starts of processes, ingest, preprocess, EDA, evaluate


def main() -> int:
    """Train each architecture with each seed, one after the other; a line each, then medians."""
    options = _options()
    for architecture in options.architectures:
        runs = [measure(options, architecture, seed) for seed in options.seeds]
        accuracies = [run["testAccuracy"] for run in runs]
        print(
            f"{architecture}: median {statistics.median(accuracies):.1%} ({min(accuracies):.1%} to "
            f"{max(accuracies):.1%}) of {len(runs)} seeds on {runs[0]['testCount']} photographs; "
            f"raw to model.pt {max(run['wall'] for run in runs):.0f} s at most",
            flush=True,
        )
    return 0


def measure(options: argparse.Namespace, architecture: str, seed: int) -> dict[str, Any]:
    """One run in a folder of its own; its accuracy, epochs and seconds, and the machine's load around it."""
    given = {"architecture": architecture, "seed": seed, "maxTrainSeconds": options.seconds - AROUND}
    if options.epochs:
        given["epochs"] = options.epochs
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="accuracy-") as folder:
        settings = [part for name, value in given.items() for part in ("--set", f"{name}={value}")]
        command = ["run", "--raw", str(options.data), "--out", folder, *settings]
        start = time.monotonic()
        subprocess.run([sys.executable, "-m", "catsdogs", *command], check=True, stdout=subprocess.DEVNULL)
        wall = time.monotonic() - start
        training = json.loads((Path(folder) / "model/training.json").read_text(encoding="utf-8"))
        tested = json.loads((Path(folder) / "model/evaluation/metrics.json").read_text(encoding="utf-8"))
    found = {
        **given,
        "testAccuracy": tested["testAccuracy"],
        "testCount": tested["testCount"],
        "valAccuracy": training["valAccuracy"],
        "epochs": training["epochs"],
        "stoppedBy": training["stoppedBy"],
        "trainSeconds": training["seconds"],
        "wall": round(wall, 1),
        "load": [round(load, 1), round(os.getloadavg()[0], 1)],
    }
    print(json.dumps(found), flush=True)
    return found


def _options() -> argparse.Namespace:
    [architecture] = [parameter for parameter in key.PARAMETERS if parameter.name == "architecture"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with Cat/ and Dog/")
    parser.add_argument("--seconds", type=int, default=600, help="from raw photographs to the evaluated model")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--architectures", nargs="+", default=list(architecture.enum), choices=architecture.enum)
    parser.add_argument("--epochs", type=int, help="instead of the parameter's default")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
