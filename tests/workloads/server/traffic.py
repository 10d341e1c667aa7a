"""Clients of a real server: honest ones, in a closed or an open loop, and a watch on /health.
They must not try again: each request counts once, with whatever came of it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException

LOST = 0  # the status of a request that got no answer
ANSWER_SECONDS = 60.0
# A connection that lies idle this long is not used again: the server closes it after 5 s, perhaps just now.
IDLE_SECONDS = 3.0


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Seen:
    """Statuses, seconds by answer, and the answers that are no 200."""

    statuses: Counter[int] = field(default_factory=Counter)
    took: list[float] = field(default_factory=list)
    others: list[Answer] = field(default_factory=list)

    def add(self, answer: Answer, seconds: float) -> None:
        self.statuses[answer.status] += 1
        self.took.append(seconds)
        if answer.status != 200:
            self.others.append(answer)

    def percentile(self, share: float) -> float:
        """Seconds."""
        return sorted(self.took)[min(len(self.took) - 1, int(len(self.took) * share))]


class Channel:
    """One keep-alive connection, opened when it is needed."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.last = 0.0

    async def ask(self, *pieces: bytes) -> Answer:
        """The answer; status LOST when none came. Closed afterwards where the server says so."""
        if time.monotonic() > self.last + IDLE_SECONDS:
            self.close()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                if self.streams is None:
                    self.streams = await asyncio.open_connection("127.0.0.1", self.port, limit=2**20)
                return await self._exchange(pieces)
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            self.close()
            return Answer(LOST, {}, repr(error).encode())

    async def _exchange(self, pieces: Iterable[bytes]) -> Answer:
        assert self.streams is not None
        reader, writer = self.streams
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
        except OSError:
            pass  # refused in the middle; what was answered can still be read
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.last = time.monotonic()
        if headers.get("connection", "").lower() == "close":
            self.close()
        return Answer(int(lines[0].split()[1]), headers, body)

    def close(self) -> None:
        if self.streams is not None:
            self.streams[1].close()
            self.streams = None


def raw(picture: bytes) -> bytes:
    """A POST with the picture as its body."""
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n"
    return head % len(picture) + picture


async def closed_loop(port: int, requests: Iterable[bytes], clients: int) -> Seen:
    """Each client sends the next request when its answer is there, until there are no more."""
    seen, left = Seen(), iter(requests)

    async def client() -> None:
        channel = Channel(port)
        for request in left:
            begin = time.perf_counter()
            seen.add(await channel.ask(request), time.perf_counter() - begin)
        channel.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    return seen


def for_seconds(request: bytes, seconds: float) -> Iterable[bytes]:
    """The same request until the time is over."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        yield request


async def open_loop(port_of: Callable[[], int], request: bytes, rate: float, seconds: float) -> Seen:
    """`rate` requests a second leave by the clock; `port_of` is asked for each where it goes."""
    seen, idle, under_way = Seen(), dict[int, list[Channel]](), set[asyncio.Task[None]]()
    start, sent = time.perf_counter(), 0

    async def one(due: float) -> None:
        port = port_of()
        waiting = idle.setdefault(port, [])
        channel = waiting.pop() if waiting else Channel(port)
        seen.add(await channel.ask(request), time.perf_counter() - due)
        waiting.append(channel)

    while (due := start + sent / rate) < start + seconds:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        task = asyncio.create_task(one(due))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
        sent += 1
    await asyncio.gather(*under_way)
    for channel in (channel for channels in idle.values() for channel in channels):
        channel.close()
    return seen


@contextlib.asynccontextmanager
async def watched_health(port: int, pause: float = 0.02) -> AsyncIterator[Seen]:
    """/health of this port asked again and again, from a thread of its own: what the event loop is held up by."""
    seen, stop = Seen(), threading.Event()

    def watch() -> None:
        while not stop.wait(pause):
            begin = time.perf_counter()
            seen.add(_health(port), time.perf_counter() - begin)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        await asyncio.to_thread(thread.join)


def _health(port: int) -> Answer:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    with contextlib.closing(connection):
        try:
            connection.request("GET", "/health")
            answer = connection.getresponse()
            return Answer(answer.status, {}, answer.read())
        except (OSError, HTTPException) as error:
            return Answer(LOST, {}, repr(error).encode())
