"""Who asks: API keys, and how many pictures each client may send. It must not write down or log a key, and costs
nothing where neither is set."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import logging
import math
import os
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from catsdogs.server.config import ConfigError

logger = logging.getLogger("catsdogs.server")

# What a browser or a load balancer needs before it has a key; all other paths ask for one.
OPEN = frozenset({"/", "/docs", "/openapi.json", "/health", "/live", "/v2/health/live", "/v2/health/ready"})
LEAST_KEY = 16
KEY = "catsdogs.key"  # in the ASGI scope: the digest of the key that let the request in
RELOAD_SECONDS = 1.0
MOST_CLIENTS = 10_000


class Keys:
    """The keys of a mounted secret, one a line; lines that begin with # are comments.

    The file is looked at again at most every RELOAD_SECONDS, so that a key can be changed under a running server.
    Raises ConfigError when there is no key to begin with.
    """

    def __init__(self, path: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.path, self.clock = Path(path), clock
        self.looked = clock()
        try:
            self.stamp = self._stamp()
            self.digests = _digests(self.path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(f"API_KEYS_FILE {path} can't be used: {error}") from error
        if not self.digests:
            raise ConfigError(f"API_KEYS_FILE {path} holds no key: write one a line")

    def find(self, key: str) -> str:
        """The key's digest, or "" when it is none of ours; all are compared, in the same time."""
        self._reload()
        digest = _digest(key)
        known = [hmac.compare_digest(digest, other) for other in self.digests]
        return digest if any(known) else ""

    def _stamp(self) -> tuple[int, int, int]:
        status = os.stat(self.path)  # noqa: PTH116 - through the links that Kubernetes swaps
        return status.st_ino, status.st_size, status.st_mtime_ns

    def _reload(self) -> None:
        now = self.clock()
        if now - self.looked < RELOAD_SECONDS:
            return
        self.looked = now
        try:
            if (stamp := self._stamp()) != self.stamp:
                self.digests = _digests(self.path.read_text("utf-8"))
                self.stamp = stamp
                logger.info("API_KEYS_FILE %s changed: %d keys", self.path, len(self.digests))
        except (OSError, ValueError) as error:
            logger.error("API_KEYS_FILE %s can't be read again, the keys stay as they were: %s", self.path, error)  # noqa: TRY400


def _digests(text: str) -> tuple[str, ...]:
    lines = [line.strip() for line in text.splitlines()]
    keys = [line for line in lines if line and not line.startswith("#")]
    if any(len(key) < LEAST_KEY for key in keys):
        raise ValueError(f"a key has fewer than {LEAST_KEY} characters")
    return tuple(map(_digest, keys))


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


class Guard:
    """Wraps an ASGI application: paths outside OPEN need a key, by X-API-Key or Authorization: Bearer."""

    def __init__(self, app: ASGIApp, keys: Keys, refuse: ASGIApp) -> None:
        self.app, self.keys, self.refuse = app, keys, refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in OPEN:
            scope[KEY] = self.keys.find(_given(scope))
            if not scope[KEY]:
                await self.refuse(scope, receive, send)
                return
        await self.app(scope, receive, send)


def _given(scope: Scope) -> str:
    headers = dict(scope["headers"])
    if key := headers.get(b"x-api-key"):
        return str(key.decode("latin-1"))
    scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


class Rates:
    """A bucket of tokens for each client: one token a picture, `per_second` new ones, at most `burst`."""

    def __init__(
        self, per_second: float, burst: int, proxies: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.per_second, self.burst, self.proxies, self.clock = per_second, burst, proxies, clock
        self.buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, and when there were as many

    def wait(self, scope: Scope) -> int:
        """0 when this client may send a picture now, else the whole seconds until it may."""
        tokens = self._tokens(client(scope, self.proxies))
        return 0 if tokens >= 1 else math.ceil((1 - tokens) / self.per_second)

    def spend(self, scope: Scope, pictures: int) -> None:
        """Take a token for each picture; what is not there is owed, and the client waits the longer."""
        name = client(scope, self.proxies)
        self.buckets[name] = (self._tokens(name) - pictures, self.clock())
        self.buckets.move_to_end(name)
        if len(self.buckets) > MOST_CLIENTS:
            self.buckets.popitem(last=False)

    def _tokens(self, name: str) -> float:
        now = self.clock()
        tokens, then = self.buckets.get(name, (float(self.burst), now))
        return min(float(self.burst), tokens + (now - then) * self.per_second)


def client(scope: Scope, proxies: int) -> str:
    """Who sent a request: its API key, else its address; of IPv6 the first 64 bits, which one customer owns.

    Behind `proxies` that each add the address they saw to X-Forwarded-For, it is the address that the outermost
    of them added: what stands before it is the client's own word.
    """
    if key := scope.get(KEY):
        return str(key)
    peer = scope["client"][0] if scope.get("client") else ""
    told = [value for name, value in scope["headers"] if name == b"x-forwarded-for"] if proxies else []
    addresses = b",".join(told).decode("latin-1").split(",") if told else []
    text = addresses[-proxies].strip() if 0 < proxies <= len(addresses) else peer
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return str(peer)
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or ipaddress.IPv6Address(int(address) >> 64 << 64)
    return str(address)
