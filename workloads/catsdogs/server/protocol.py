"""uvicorn's HTTP protocol with what it lacks: an absolute deadline for receiving each request, and an end to headers.
It must not look at what a request says, and must not end one that was received in time."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# The endpoint's own deadline comes first and answers 408; this one ends who waits for no answer.
GRACE_SECONDS = 2.0
# Bytes of a request that are not its body: request line, headers, chunk sizes and trailers, which the parser keeps.
MAX_FRAMING = 65_536
MAX_HEADERS = 100


class DeadlineProtocol(HttpToolsProtocol):
    """The clock runs from a connection's start, or a later request's first byte, to the request's last.

    A request that was answered before its body came (413, 405) is still under the clock: uvicorn throws
    the rest of the body away, which keeps the answer readable for the client, but not for ever.
    """

    receive_seconds = 10.0
    deadline: asyncio.TimerHandle | None = None
    receiving = True  # on a new connection, silence counts as begun
    framing = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        self.framing += len(data)
        super().data_received(data)
        if self.framing > MAX_FRAMING and not self.transport.is_closing():
            self.send_400_response("The request's headers are too long.")
        self._watch()

    def on_message_begin(self) -> None:
        self.receiving = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        # Of a single read up to 256 KiB would be parsed before data_received looks: a list of 10,000 headers.
        if len(self.headers) >= MAX_HEADERS:
            raise ValueError("too many headers")
        super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        self.framing -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self.receiving, self.framing = False, 0
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if self.transport.is_closing() or not self.receiving:
            self._unwatch()
        elif self.deadline is None:
            self.deadline = self.loop.call_later(self.receive_seconds + GRACE_SECONDS, self._late)

    def _unwatch(self) -> None:
        if self.deadline is not None:
            self.deadline.cancel()
            self.deadline = None

    def _late(self) -> None:
        self.deadline = None
        if self.flow.read_paused:
            self._watch()  # it is this server that does not read on: it answers the request before
        elif not self.transport.is_closing():
            self.transport.abort()


def with_deadline(seconds: float) -> type[HttpToolsProtocol]:
    """The protocol class for uvicorn's `http` setting that waits `seconds` for a request."""
    return type("Deadline", (DeadlineProtocol,), {"receive_seconds": seconds})
