"""Sends pictures to a server and measures: a process of its own, one thread, requests built before the clock runs.

    python -m bench.serving.client <job.json >result.json

Closed loop: so many clients, each sends when its answer is there. Open loop: requests leave by the clock, whatever
the server does, and the time counts from when each was due. It must not decode pictures or parse an answer's body.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

BOUNDARY = b"------------------------boundary"
PROBE_SECONDS = 0.01
REUSE_SECONDS = 2.0  # servers close what is idle for five: a request must not meet that


@dataclass(frozen=True)
class Job:
    """`clients` for a closed loop, or `rate` per second for an open one; `probes` are ports whose /health is asked."""

    port: int
    pictures: list[str]
    seconds: float
    clients: int = 0
    rate: float = 0.0
    warm_up: float = 0.5
    probes: list[int] = field(default_factory=list)


@dataclass
class Measured:
    """Seconds of each answer with 200, statuses, the body of each picture's last answer, and what the client cost."""

    seconds: float = 0.0
    took: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    health: dict[int, list[float]] = field(default_factory=dict)
    answers: dict[int, str] = field(default_factory=dict)
    client_cpu: float = 0.0


def request_of(picture: bytes) -> bytes:
    """A POST as curl -F file=@picture.jpg sends it."""
    body = (
        b"--" + BOUNDARY + b'\r\nContent-Disposition: form-data; name="file"; filename="picture.jpg"\r\n'
        b"Content-Type: image/jpeg\r\n\r\n" + picture + b"\r\n--" + BOUNDARY + b"--\r\n"
    )
    return (
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\nContent-Length: %d\r\n"
        b"Content-Type: multipart/form-data; boundary=%s\r\n\r\n" % (len(body), BOUNDARY)
    ) + body


class Connection(asyncio.Protocol):
    """One keep-alive connection with one request under way."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.answered = 0.0
        self.waiting: asyncio.Future[tuple[int, bytes]] | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def ask(self, request: bytes) -> asyncio.Future[tuple[int, bytes]]:
        """Status and body of the answer."""
        self.waiting = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self.waiting

    def data_received(self, data: bytes) -> None:
        self.received += data
        end = self.received.find(b"\r\n\r\n")
        if end < 0 or self.waiting is None:
            return
        head = bytes(self.received[:end]).lower()
        length = int(head.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0])
        if len(self.received) >= end + 4 + length:
            body = bytes(self.received[end + 4 :])
            self.received.clear()
            self.answered = time.perf_counter()
            waiting, self.waiting = self.waiting, None
            waiting.set_result((int(head[9:12]), body))

    def connection_lost(self, exc: Exception | None) -> None:
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_exception(exc or ConnectionResetError("closed before an answer"))


async def connected(port: int) -> Connection:
    return (await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", port))[1]


class Load:
    """One job under way."""

    def __init__(self, job: Job) -> None:
        self.job, self.measured = job, Measured()
        self.requests = [request_of(Path(picture).read_bytes()) for picture in job.pictures]
        self.idle: deque[Connection] = deque()
        self.next = 0
        self.begin = self.end = 0.0

    async def run(self) -> Measured:
        job = self.job
        work = self._open() if job.rate else self._closed()
        self.begin = time.perf_counter() + job.warm_up
        self.end = self.begin + job.seconds
        probes = [asyncio.create_task(self._probe(port)) for port in job.probes]
        meter = asyncio.create_task(self._meter())
        await asyncio.gather(work, meter, *probes)
        self.measured.seconds = job.seconds
        return self.measured

    async def _meter(self) -> None:
        await asyncio.sleep(self.begin - time.perf_counter())
        cpu = time.process_time()
        await asyncio.sleep(self.end - time.perf_counter())
        self.measured.client_cpu = time.process_time() - cpu

    async def _closed(self) -> None:
        await asyncio.gather(*(self._client() for _ in range(self.job.clients)))

    async def _client(self) -> None:
        connection = await connected(self.job.port)
        while (now := time.perf_counter()) < self.end:
            await self._one(connection, now)
        connection.transport.close()

    async def _open(self) -> None:
        start, sent, under_way = time.perf_counter(), 0, set()
        while (due := start + sent / self.job.rate) < self.end:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            task = asyncio.create_task(self._due(due))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            sent += 1
        await asyncio.gather(*under_way)

    async def _due(self, due: float) -> None:
        recent = self.idle and time.perf_counter() - self.idle[-1].answered < REUSE_SECONDS
        connection = self.idle.pop() if recent else await connected(self.job.port)
        await self._one(connection, due)
        self.idle.append(connection)

    async def _one(self, connection: Connection, start: float) -> None:
        number = self.next % len(self.requests)
        self.next += 1
        status, body = await connection.ask(self.requests[number])
        end = time.perf_counter()
        measured = self.measured
        if self.begin <= end <= self.end:
            measured.statuses[status] = measured.statuses.get(status, 0) + 1
            if status == 200:
                measured.took.append(end - start)
        if status == 200:
            measured.answers[number] = body.decode()

    async def _probe(self, port: int) -> None:
        connection = await connected(port)
        took = self.measured.health.setdefault(port, [])
        while (start := time.perf_counter()) < self.end:
            status, _ = await connection.ask(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            if status != 200:
                raise SystemExit(f"/health on port {port} answers {status}")
            took.append(time.perf_counter() - start)
            await asyncio.sleep(PROBE_SECONDS)
        connection.transport.close()


def main() -> None:
    job = Job(**json.load(sys.stdin))
    json.dump(asdict(asyncio.run(Load(job).run())), sys.stdout)


if __name__ == "__main__":
    main()
