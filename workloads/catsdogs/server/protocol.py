"""uvicorn's HTTP protocol with an absolute deadline for receiving each request, which uvicorn lacks.
It must not look at what a request says, and must not end one that was received in time."""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

# The endpoint's own deadline comes first and answers 408; this one ends who waits for no answer.
GRACE_SECONDS = 2.0


class DeadlineProtocol(H11Protocol):
    """The clock runs from a connection's start, or a later request's first byte, to the request's last.

    A request that was answered before its body came (413, 405) is still under the clock: uvicorn throws
    the rest of the body away, which keeps the answer readable for the client, but not for ever.
    """

    receive_seconds = 10.0
    deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if self.transport.is_closing() or not self._receiving():
            self._unwatch()
        elif self.deadline is None:
            self.deadline = self.loop.call_later(self.receive_seconds + GRACE_SECONDS, self._late)

    def _receiving(self) -> bool:
        """A request has begun and not ended; on a new connection, silence counts as begun."""
        if self.conn.their_state is h11.IDLE:
            return self.cycle is None or bool(self.conn.trailing_data[0])
        return self.conn.their_state is h11.SEND_BODY

    def _unwatch(self) -> None:
        if self.deadline is not None:
            self.deadline.cancel()
            self.deadline = None

    def _late(self) -> None:
        self.deadline = None
        if not self.transport.is_closing():
            self.transport.abort()


def with_deadline(seconds: float) -> type[H11Protocol]:
    """The protocol class for uvicorn's `http` setting that waits `seconds` for a request."""
    return type("Deadline", (DeadlineProtocol,), {"receive_seconds": seconds})
