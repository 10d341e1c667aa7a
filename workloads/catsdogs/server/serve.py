"""Runs the two ports in one process, from the first socket to the last answer after SIGTERM.
It must not load the model itself, and must not end while an accepted request is unanswered."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import uvicorn
import uvloop
from starlette.types import ASGIApp

from catsdogs.server import api, health, loading
from catsdogs.server.config import ConfigError, Settings
from catsdogs.server.context import Context
from catsdogs.server.metrics import Metrics
from catsdogs.server.protocol import with_deadline
from catsdogs.server.state import State
from catsdogs.server.tracing import from_env

logger = logging.getLogger("catsdogs.server")
BACKLOG = 2048


class _Server(uvicorn.Server):
    """uvicorn's server with the signals left to this module."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, drain, return. Raises ConfigError when a port can't be had."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(settings))


async def _run(settings: Settings) -> None:
    # First of all: process 1 of a container ignores a signal that it has no handler for.
    ending = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ending.set)
    state, metrics = State(), Metrics()
    tracing = from_env(os.environ)
    pool = ThreadPoolExecutor(settings.workers, "predict", initializer=_one_thread)
    context = Context(settings, state, metrics, pool, tracing)
    app = api.application(context)
    main_socket = _listen(settings.host, settings.port)
    ops_socket = _listen(settings.host, settings.ops_port)
    ops_server = _server(health.application(state, metrics), settings)
    # Its own thread and loop: /health answers while the main loop is busy with uploads.
    ops = threading.Thread(target=ops_server.run, args=([ops_socket],), name="ops", daemon=True)
    ops.start()
    logger.info("listening on %s and %s", _address(main_socket), _address(ops_socket))
    stop = loading.start(settings, state, metrics.serving)
    with pool:
        await _serve(_server(app, settings), main_socket, context, ending)
    stop.set()
    if tracing is not None:
        await asyncio.to_thread(tracing.flush)
    ops_server.should_exit = True
    await asyncio.to_thread(ops.join, 1)  # whoever reads slowly there is left behind
    logger.info("stopped")


def _one_thread() -> None:
    # Imported here: the pool's threads start with the first picture, when torch has long been imported.
    from catsdogs.server.predictor import one_thread

    one_thread()


async def _serve(server: uvicorn.Server, listener: socket.socket, context: Context, ending: asyncio.Event) -> None:
    serving = asyncio.create_task(server.serve([listener]))
    waiting = asyncio.create_task(ending.wait())
    await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if not serving.done():
        await _drain(context)
        server.should_exit = True
    await serving


async def _drain(context: Context) -> None:
    """Not ready from now on, while load balancers still send requests: those are answered as ever."""
    context.state.draining = True
    seconds = context.settings.drain_seconds
    logger.info("draining: not ready; accepting for %g s more, then finishing what is accepted", seconds)
    await asyncio.sleep(seconds)


def _server(app: ASGIApp, settings: Settings) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        http=with_deadline(settings.receive_seconds),
        ws="none",
        loop="uvloop",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=int(settings.finish_seconds),
    )
    return _Server(config)


def _listen(host: str, port: int) -> socket.socket:
    try:
        listener = socket.create_server((host, port), backlog=BACKLOG)
    except OSError as error:
        raise ConfigError(f"can't listen on {host}:{port}: {os.strerror(error.errno or 0)}") from error
    # asyncio sets this only where the protocol number is given, which create_server leaves out; accepted
    # sockets inherit it. Without it an answer's body waits 40 ms for the acknowledgement of its headers.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"{host}:{port}"
