"""Whoever sends too slowly is answered or closed by an absolute deadline; who sends in time is served."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
import uvloop

from catsdogs.server import api, protocol, serve
from tests.workloads.server.samples import picture

JPEG = picture()
HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n"
WHOLE = HEAD + b"Content-Length: %d\r\n\r\n" % len(JPEG) + JPEG

LAST = b"GET /live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.fixture
def address(context: api.Context, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    """A real port that gives a request 0.3 s, and 0.3 s more to whoever gets no answer."""
    monkeypatch.setattr(protocol, "GRACE_SECONDS", 0.3)
    quick = replace(context.settings, receive_seconds=0.3)
    hurried = api.Context(quick, context.state, context.metrics, context.pool)
    server = serve._server(api.application(hurried), quick)
    listener = serve._listen("127.0.0.1", 0)
    assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY), "answers would wait for ACKs"
    name = listener.getsockname()
    runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    thread = threading.Thread(target=lambda: runner.run(server.serve([listener])))
    thread.start()
    try:
        yield name
    finally:
        server.should_exit = True
        thread.join()
        runner.close()


def exchange(address: tuple[str, int], *pieces: bytes, drip: bytes = b"") -> bytes:
    """All that the server sends until it closes; `drip` is sent again and again until then."""
    received = b""
    with socket.create_connection(address, timeout=20) as connection:
        for piece in pieces:
            connection.sendall(piece)
        connection.settimeout(0.05 if drip else 20)
        for _ in range(400):
            try:
                data = connection.recv(65536)
            except TimeoutError:
                connection.sendall(drip)
                continue
            except ConnectionResetError:
                return received
            received += data
            if not data:
                return received
    raise AssertionError(f"never closed; received {received!r}")


def test_who_sends_in_time_is_served_twice_on_one_connection(address: tuple[str, int]) -> None:
    answer = exchange(address, WHOLE + WHOLE[:-5], WHOLE[-5:] + LAST)
    assert answer.count(b"HTTP/1.1 200 OK") == 3


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET /li", HEAD, b"GET /live HTTP/1.1\r\nHost: x\r\nX-Long: "],
    ids=["silent", "request line", "header", "header value"],
)
@pytest.mark.parametrize("drip", [b"", b"a"], ids=["stalled", "dripped"])
def test_an_unfinished_header_is_closed(address: tuple[str, int], sent: bytes, drip: bytes) -> None:
    answer = exchange(address, sent, drip=drip)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("drip", [b"", b"1\r\na\r\n"], ids=["stalled", "dripped"])
def test_an_unfinished_body_is_answered_with_408(address: tuple[str, int], drip: bytes) -> None:
    answer = exchange(address, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", drip=drip)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"\r\nconnection: close\r\n" in answer.lower()
    assert answer.endswith(b'{"error":"the request was not complete after 0.3 s"}')


def test_a_body_without_end_after_an_answer_is_closed(address: tuple[str, int]) -> None:
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    answer = exchange(address, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 5, drip=chunk)
    assert answer.startswith(b"HTTP/1.1 413 ")
    answer = exchange(
        address, b"POST /live HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", drip=b"1\r\na\r\n"
    )
    assert answer.startswith(b"HTTP/1.1 405 ")


def test_what_is_no_http_is_refused(address: tuple[str, int]) -> None:
    assert exchange(address, b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n").startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /" + b"a" * 300_000,
        b"GET /live HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 300_000,
        b"GET /live HTTP/1.1\r\n" + b"a: b\r\n" * 60_000,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1;" + b"x" * 300_000,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\nTrailer: " + b"x" * 300_000,
    ],
    ids=["path", "header", "headers", "chunk extension", "trailer"],
)
def test_headers_have_an_end(address: tuple[str, int], sent: bytes) -> None:
    answer = exchange(address, sent)
    assert answer.startswith(b"HTTP/1.1 400 "), answer


def test_many_small_chunks_are_a_body(address: tuple[str, int]) -> None:
    chunks = b"".join(b"10\r\n" + JPEG[at : at + 16].ljust(16) + b"\r\n" for at in range(0, len(JPEG), 16))
    answer = exchange(address, HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n" + LAST)
    assert answer.count(b"HTTP/1.1 200 OK") == 2
