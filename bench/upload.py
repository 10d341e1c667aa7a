"""A version of the data sent as the pipeline sends it, against one object per photograph with 16 threads.

    python -m bench.upload --data FOLDER

The store answers every request 30 ms later. Both sides begin with the photographs as files: the packing into shards
is timed with the upload of them.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from bench.photos import folder, parser, spread
from bench.store import Proxy, far_store
from catsdogs.pipeline import bucket as store
from catsdogs.pipeline.shards import Shards

THREADS = 16


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--photographs", type=int, default=2000)
    given = options.parse_args()
    os.environ["GOOGLE_CLOUD_PROJECT"] = "local"
    with tempfile.TemporaryDirectory() as temporary, far_store(Path(temporary)) as proxy:
        source = folder(given.data, given.photographs, Path(temporary))
        bucket = store.open_bucket("bench")
        bucket.client.create_bucket("bench")
        single, version = [], []
        for number in range(given.rounds):
            single.append(measure(proxy, partial(one_by_one, bucket, source, f"single-{number}/")))
            version.append(measure(proxy, partial(as_version, bucket, source, f"version-{number}/", Path(temporary))))
    print(f"{given.photographs} photographs, 30 ms a request, seconds: median (range), and requests")
    for name, rows in (("one object each, 16 threads", single), ("as a version", version)):
        print(f"{name:<28} {spread([row[0] for row in rows], '.1f'):<22} {rows[0][1]:>6,}")
    faster = statistics.median(a[0] / b[0] for a, b in zip(single, version, strict=True))
    print(f"{faster:.1f}x faster, {single[0][1] / version[0][1]:.0f}x fewer requests")


def measure(proxy: Proxy, work: Callable[[], None]) -> tuple[float, int]:
    """Seconds and requests of one side."""
    proxy.requests, begin = 0, time.perf_counter()
    work()
    return time.perf_counter() - begin, proxy.requests


def one_by_one(bucket: Any, source: Path, prefix: str) -> None:
    """Every photograph an object of its own."""
    files = sorted(source.glob("*/*"))
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda file: store.upload(bucket, prefix + file.relative_to(source).as_posix(), file), files))


def as_version(bucket: Any, source: Path, prefix: str, work: Path) -> None:
    """Tar shards and a manifest, closed by the manifest, as the stage ingest publishes them."""
    packed = work / "packed"
    packed.mkdir()
    writer = Shards(packed)
    names = [file.relative_to(source).as_posix() for file in sorted(source.glob("*/*"))]
    for name in names:
        writer.add(name, (source / name).read_bytes())
    writer.close()
    (packed / "manifest.json").write_text(json.dumps(writer.place))
    store.upload_folder(bucket, prefix, packed, "manifest.json")
    shutil.rmtree(packed)


if __name__ == "__main__":
    main()
