"""A real object store behind a proxy that answers 30 ms later and counts, as a far bucket would be.
It must not keep or change what passes through."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp
from aiohttp import web

from devcluster import programs
from devcluster.progress import Reporter

DELAY = 0.030
HOP_BY_HOP = {"connection", "host", "keep-alive", "transfer-encoding"}


class Proxy:
    """Counts the requests that it passes on; `requests` may be set back."""

    def __init__(self, port: int, target: str) -> None:
        self.requests = 0
        self.port, self.target = port, target
        self.loop = asyncio.new_event_loop()
        self.started = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        self.loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        self.stopped = asyncio.Event()
        async with aiohttp.ClientSession(auto_decompress=False, connector=aiohttp.TCPConnector(limit=64)) as session:
            self.session = session
            app = web.Application(client_max_size=2**30)
            app.router.add_route("*", "/{path:.*}", self._pass)
            runner = web.AppRunner(app, access_log=None)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", self.port).start()
            self.started.set()
            await self.stopped.wait()
            await runner.cleanup()

    async def _pass(self, request: web.Request) -> web.Response:
        self.requests += 1
        await asyncio.sleep(DELAY)
        body = request.content if request.can_read_body else None
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        url = f"{self.target}{request.raw_path}"
        async with self.session.request(request.method, url, data=body, headers=headers) as answer:
            left_out = HOP_BY_HOP | {"content-length"}
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in left_out}
            return web.Response(status=answer.status, body=await answer.read(), headers=kept)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def far_store(work: Path) -> Iterator[Proxy]:
    """The store, empty, with STORAGE_EMULATOR_HOST set to the proxy before it."""
    port, proxy_port = free_port(), free_port()
    address = f"http://127.0.0.1:{proxy_port}"
    proxy = Proxy(proxy_port, f"http://127.0.0.1:{port}")
    proxy.thread.start()
    proxy.started.wait()
    os.environ["STORAGE_EMULATOR_HOST"] = address
    try:
        with store(work, port, address):
            yield proxy
    finally:
        proxy.loop.call_soon_threadsafe(proxy.stopped.set)
        proxy.thread.join()


@contextlib.contextmanager
def store(work: Path, port: int, address: str) -> Iterator[subprocess.Popen[bytes]]:
    """The store, empty, on `port`; `address` is what its clients call it by."""
    program = programs.ensure(["fake-gcs-server"], Reporter())["fake-gcs-server"]
    public = address.removeprefix("http://")
    options = f"-scheme http -host 127.0.0.1 -port {port} -public-host {public} -external-url {address}"
    with (work / "store.log").open("wb") as log:
        command = [str(program), *options.split(), "-filesystem-root", str(work / "objects")]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _wait_for(port)
        yield process
    finally:
        process.terminate()
        process.wait()


def _wait_for(port: int, seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if time.monotonic() > until:
            raise SystemExit("the object store did not start; see its log")
        time.sleep(0.05)
