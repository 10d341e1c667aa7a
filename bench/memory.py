"""Peak memory of every stage, each in a process of its own as DVC starts it, for a small and a large set.

    python -m bench.memory --data FOLDER

The peak is the largest resident set of the stage's process (getrusage), and of it what is not a mapped file, whose
pages the kernel takes back when it needs them (RssAnon, looked at 20 times a second). glibc is set as in the trainer's
image. Train runs one epoch: later ones need no more.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.photos import folder, parser
from catsdogs import key
from catsdogs.pipeline.workspace import PARAMS, write_parameters

STAGES = ("raw", *key.STAGES)
DOCKERFILE = Path(__file__).parents[1] / "workloads" / "Dockerfile.trainer"


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--photographs", type=int, nargs="+", default=[2000, 25000])
    options.add_argument("--stages", nargs="+", default=STAGES, choices=STAGES)
    given = options.parse_args()
    peaks = {}
    with tempfile.TemporaryDirectory() as temporary:
        for count in given.photographs:
            work = Path(temporary) / str(count)
            work.mkdir()
            peaks[count] = [peak(stage, folder_of(given.data, count, work), work) for stage in given.stages]
    print("peak memory, MiB")
    print("photographs".ljust(14) + "".join(stage.rjust(12) for stage in given.stages))
    for count, row in peaks.items():
        for part, name in enumerate((f"{count:,}", "  not mapped")):
            print(name.ljust(14) + "".join(f"{value[part]:12,.0f}" for value in row))


def folder_of(data: Path | None, count: int, work: Path) -> Path:
    """The photographs, made once a set."""
    made = work / f"photographs-{count}"
    return made if made.exists() else folder(data, count, work)


def peak(stage: str, source: Path, work: Path) -> tuple[float, float]:
    """Run one stage in `work`; returns its largest resident set in MiB, and the largest part that is no mapped file."""
    if not (work / PARAMS).exists():
        write_parameters(key.checked_parameters({"epochs": 1}), work / PARAMS)
    settings = dict(re.findall(r"(MALLOC_\w+)=(\d+)", DOCKERFILE.read_text()))
    environment = {**os.environ, **settings, "CATSDOGS_RAW": str(source)}
    process = subprocess.Popen([sys.executable, "-m", "catsdogs.pipeline", stage], cwd=work, env=environment)
    anonymous = 0.0
    while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
        anonymous = max(anonymous, _anonymous(process.pid))
        time.sleep(0.05)
    _, status, usage = ended
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"the stage {stage} ended with {process.returncode}")
    return usage.ru_maxrss / 1024, anonymous


def _anonymous(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return sum(float(line.split()[1]) for line in lines if line.startswith("RssAnon:")) / 1024


if __name__ == "__main__":
    main()
