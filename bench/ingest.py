"""Ingest and preprocess against a serial loop that opens, converts and resizes with PIL's LANCZOS.

    python -m bench.ingest --data FOLDER

Both start from files in the page cache and end with uint8 arrays on disk; both are timed inside one process, without
its start. The loop does only that. The stages also verify checksums, find corrupt files and look-alikes, split, hash,
and write the tar shards. On a busy machine look at the CPU time: the stages use all cores, the loop one.
"""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from bench.photos import folder, inside, parser, spread
from catsdogs import key
from catsdogs.pipeline import ingest, preprocess, previous, raw
from catsdogs.pipeline.workspace import write_parameters


@dataclass(frozen=True)
class Took:
    """Seconds by the clock, and of all cores together."""

    wall: float
    cpu: float


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--photographs", type=int, default=2000)
    options.add_argument("--sizes", type=int, nargs="+", default=[64, 224])
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        source = folder(given.data, given.photographs, work)
        print(f"{given.photographs} photographs, {os.cpu_count()} cores, images per second: median (range)")
        for size in given.sizes:
            rows = measure(source, size, given.rounds, work)
            ratio = statistics.median(loop.wall / ours.wall for loop, ours in rows)
            for name, side in (
                ("serial loop", [row[0] for row in rows]),
                ("ingest + preprocess", [row[1] for row in rows]),
            ):
                rates = spread([given.photographs / took.wall for took in side])
                cpu = spread([1000 * took.cpu / given.photographs for took in side], ".2f")
                print(f"{size:>4} px  {name:<20} {rates:<22} CPU {cpu} ms each")
            print(f"{size:>4} px  {ratio:.1f}x")


def measure(source: Path, size: int, rounds: int, work: Path) -> list[tuple[Took, Took]]:
    """What the loop and the two stages took, by round; the first round, which warms up, is left out."""
    rows = []
    for _ in range(rounds + 1):
        loop = took(lambda: serial(source, size, work / "serial.npy"))
        with inside(work / "stages"):
            os.environ["CATSDOGS_RAW"] = str(source)
            write_parameters(key.checked_parameters({"imageSize": size}))
            previous.write(raw.write_manifest(raw.list_photos()))
            ours = took(stages)
        shutil.rmtree(work / "stages")
        rows.append((loop, ours))
    return rows[1:]


def serial(source: Path, size: int, target: Path) -> None:
    """The plain loop."""
    rows = []
    for file in sorted(source.glob("*/*")):
        with Image.open(file) as image:
            rows.append(np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.LANCZOS)))
    np.save(target, np.stack(rows))


def stages() -> None:
    ingest.run()
    preprocess.run()


def took(work: Callable[[], None]) -> Took:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Took(time.perf_counter() - wall, time.process_time() - cpu)


if __name__ == "__main__":
    main()
