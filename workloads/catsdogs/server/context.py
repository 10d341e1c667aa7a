"""What the endpoints of the main port share: settings, state, metrics, the pool and the limits.
It must not answer requests itself."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass, field

from catsdogs.server import upload
from catsdogs.server.admission import Room
from catsdogs.server.clients import Rates
from catsdogs.server.config import Settings
from catsdogs.server.metrics import Metrics
from catsdogs.server.state import State
from catsdogs.server.tracing import Tracing


@dataclass(frozen=True)
class Context:
    """`pictures` counts what is accepted and unanswered, `memory` bytes of uploads."""

    settings: Settings
    state: State
    metrics: Metrics
    pool: Executor
    tracing: Tracing | None = None
    pictures: Room = field(init=False)
    memory: Room = field(init=False)
    limits: upload.Limits = field(init=False)
    rates: Rates | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        settings = self.settings
        room = settings.workers + settings.queue_limit
        limits = upload.Limits(settings.max_upload, settings.receive_seconds, min(settings.max_pictures, room))
        object.__setattr__(self, "pictures", Room(room))
        object.__setattr__(self, "memory", Room(settings.max_buffered))
        object.__setattr__(self, "limits", limits)
        if settings.rate_per_second:
            rates = Rates(settings.rate_per_second, settings.rate_burst, settings.trusted_proxies)
            object.__setattr__(self, "rates", rates)
