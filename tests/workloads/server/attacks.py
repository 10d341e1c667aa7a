"""What is done to a server to break it, each at any scale: seconds in `make test`, minutes in `make reliability`.
They must not assert: they say what came of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.workloads.server import real
from tests.workloads.server.bad_pictures import JPEG, hand_made, mutated
from tests.workloads.server.samples import ModelFile
from tests.workloads.server.traffic import (
    Answer,
    Channel,
    Seen,
    closed_loop,
    for_seconds,
    open_loop,
    raw,
    watched_health,
)

MEGABYTE = b"x" * 1_000_000
FORM = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=B\r\n"
JPEG_HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n"
FILE = b'--B\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n'


def bad_pictures(server: real.Server, count: int) -> tuple[Seen, Seen]:
    """All hand-made ones and `count` mutated ones from four clients: what was answered to either kind."""
    made = asyncio.run(closed_loop(server.port, map(raw, hand_made().values()), 4))
    return made, asyncio.run(closed_loop(server.port, map(raw, mutated(count)), 4))


def length(head: bytes, size: int) -> bytes:
    return head + b"Content-Length: %d\r\n\r\n" % size


def sized(head: bytes, body: bytes) -> tuple[bytes, ...]:
    return (length(head, len(body)), body)


def chunked(head: bytes, *chunks: bytes) -> tuple[bytes, ...]:
    return (head + b"Transfer-Encoding: chunked\r\n\r\n", *(b"%x\r\n%s\r\n" % (len(each), each) for each in chunks))


UPLOADS: dict[str, tuple[bytes, ...]] = {
    "a length of 1 TB": (length(JPEG_HEAD, 10**12), MEGABYTE),
    "a length above the body's": (length(JPEG_HEAD, len(JPEG) + 1000), JPEG),
    "a length below the body's": (length(JPEG_HEAD, 100), JPEG),
    "a length below zero": (length(JPEG_HEAD, -5), JPEG),
    "a length in words": (JPEG_HEAD + b"Content-Length: many\r\n\r\n", JPEG),
    "two lengths": (JPEG_HEAD + b"Content-Length: 5\r\nContent-Length: 9\r\n\r\n", JPEG),
    "a length and chunks": (JPEG_HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", JPEG),
    "chunks without end": chunked(JPEG_HEAD, *[MEGABYTE] * 30),
    "a part of 20 MB": sized(FORM, FILE + b"\r\n" + MEGABYTE * 20 + b"\r\n--B--\r\n"),
    "a part of 20 MB in chunks": chunked(FORM, FILE + b"\r\n", *[MEGABYTE] * 20),
    "a million fields": sized(FORM, b"--B\r\n\r\n\r\n" * 1_000_000 + b"--B--\r\n"),
    "a million boundaries": sized(FORM, b"--B\r\n" * 1_000_000),
    "100,000 headers in a part": sized(FORM, FILE + b"a: b\r\n" * 100_000 + b"\r\n" + JPEG + b"\r\n--B--\r\n"),
    "a header of 9 MB in a part": sized(FORM, FILE + b"a: " + MEGABYTE * 9 + b"\r\n\r\n" + JPEG + b"\r\n--B--\r\n"),
    "almost boundaries": sized(FORM, FILE + b"\r\n" + b"\r\n--" * 2_000_000 + b"\r\n--B--\r\n"),
    "no boundary": sized(FORM, MEGABYTE * 9),
    "a chunk size of 2^70": (JPEG_HEAD + b"Transfer-Encoding: chunked\r\n\r\n400000000000000000\r\n", JPEG),
}


async def uploads(server: real.Server, times: int) -> tuple[dict[str, set[int]], Seen]:
    """Each upload this often: the statuses by name, and what /health on the same port said meanwhile."""
    statuses: dict[str, set[int]] = {}
    async with watched_health(server.port) as health:
        for name, pieces in UPLOADS.items():
            answers = await asyncio.gather(*(_upload(server.port, pieces) for _ in range(times)))
            statuses[name] = {answer.status for answer in answers}
    return statuses, health


async def _upload(port: int, pieces: tuple[bytes, ...]) -> Answer:
    channel = Channel(port)
    answer = await channel.ask(*pieces)
    channel.close()
    return answer


SLOW: dict[str, tuple[bytes, bytes]] = {
    "silent": (b"", b""),
    "stalled header": (b"POST /predict HTTP/1.1\r\nHost: x\r\nX-Lo", b""),
    "stalled body": (length(JPEG_HEAD, len(JPEG)) + JPEG[:1000], b""),
    "dripped header": (b"POST /predict HTTP/1.1\r\nX-Long: ", b"a"),
    "dripped body": (length(JPEG_HEAD, len(JPEG)) + JPEG[:1000], b"a"),
}


@dataclass
class Slow:
    """The longest that a connection of each kind stayed open, how many were closed, and what others got."""

    longest: dict[str, float]
    closed: int
    health: Seen
    honest: Seen


async def slow_senders(server: real.Server, count: int, seconds: float) -> Slow:
    """`count` connections that never end a request, opened anew when closed; beside them one honest client."""
    longest, closed = dict.fromkeys(SLOW, 0.0), 0
    end = time.perf_counter() + seconds

    async def sender(kind: str) -> None:
        nonlocal closed
        while time.perf_counter() < end:
            longest[kind] = max(longest[kind], await _until_closed(server.port, *SLOW[kind]))
            closed += 1

    kinds = list(SLOW)
    async with watched_health(server.port, 0.1) as health:
        senders = [asyncio.create_task(sender(kinds[number % len(kinds)])) for number in range(count)]
        honest = await open_loop(lambda: server.port, raw(JPEG), 20, seconds)
        await asyncio.gather(*senders)
    return Slow(longest, closed, health, honest)


async def _until_closed(port: int, first: bytes, drip: bytes) -> float:
    """Seconds from the connection to its end by the server."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    begin = time.perf_counter()
    try:
        writer.write(first)
        while True:
            try:
                if not await asyncio.wait_for(reader.read(65536), 0.5):
                    break
            except TimeoutError:
                writer.write(drip)
    except OSError:
        pass
    finally:
        writer.close()
    return time.perf_counter() - begin


@dataclass
class Overload:
    """Answers a second with 200: at the most, while ten times as much comes, and right after."""

    peak: float
    during: float
    after: float
    seen: Seen


async def overload(server: real.Server, seconds: float, times: float = 10, quiet: float = 5) -> Overload:
    """The most that a closed loop gets out of the server, then `times` that by the clock, then a closed loop again."""
    request = raw(JPEG)
    await closed_loop(server.port, for_seconds(request, 1), 8)
    peak = (await closed_loop(server.port, for_seconds(request, quiet), 8)).statuses[200] / quiet
    seen = await open_loop(lambda: server.port, request, times * peak, seconds)
    after = (await closed_loop(server.port, for_seconds(request, quiet), 8)).statuses[200] / quiet
    return Overload(peak, seen.statuses[200] / seconds, after, seen)


async def terminations(model_file: ModelFile, folder: Path, count: int, share: float = 0.7) -> tuple[Seen, list[int]]:
    """Servers that follow each other under load, each ended by SIGTERM: what clients saw, and the exit statuses.

    New requests go to the next server as soon as the old one says that it is not ready, as a Service does. The queues
    are long: a start takes the cores for seconds, and what waits then is accepted too, and must not be lost.
    """
    env = {"DRAIN_SECONDS": "1", "QUEUE_LIMIT": "2000"}
    current = await asyncio.to_thread(real.start, model_file, folder, **env)
    request, exits = raw(JPEG), list[int]()
    measured = await closed_loop(current.port, for_seconds(request, 2), 8)
    rate = share * measured.statuses[200] / 2
    done = asyncio.Event()

    async def replace() -> None:
        nonlocal current
        for _ in range(count):
            old, following = current, await asyncio.to_thread(real.start, model_file, folder, **env)
            ending = asyncio.create_task(asyncio.to_thread(old.stop))
            await asyncio.to_thread(real.wait_until_not_ready, old)
            current = following
            exits.append(await ending)
        done.set()

    replacing = asyncio.create_task(replace())
    seen = Seen()
    while not done.is_set():
        _merge(seen, await open_loop(lambda: current.port, request, rate, 2))
    await replacing
    current.stop()
    return seen, exits


def _merge(into: Seen, more: Seen) -> None:
    into.statuses.update(more.statuses)
    into.took += more.took
    into.others += more.others


def figures(seen: Seen, name: Callable[[int], str] = str) -> str:
    """Counts by status and percentiles."""
    statuses = ", ".join(f"{count} x {name(status)}" for status, count in sorted(seen.statuses.items()))
    return f"{statuses}; p50 {1000 * seen.percentile(0.5):.0f} ms, p99 {1000 * seen.percentile(0.99):.0f} ms"
