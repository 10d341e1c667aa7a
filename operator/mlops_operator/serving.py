"""Asks the pods of model servers what they have answered, and those that are not ready why.

The answers are untrusted: two seconds, 256 KiB, no redirects, and only numbers in their ranges come through.
"""

from collections.abc import Iterable
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from mlops_operator.api.gate import Traffic
from mlops_operator.status.pod import address_of, as_object

PORT = 8081
TIMEOUT = 2.0
LIMIT = 256 * 1024
CONCURRENT = 32
ROUTE = "/predict"
DURATION = "http_server_request_duration_seconds"


def session() -> aiohttp.ClientSession:
    """A session for the two questions; the caller closes it. Proxies from the environment are not used for pods."""
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=TIMEOUT), connector=aiohttp.TCPConnector(limit=CONCURRENT)
    )


async def traffic(client: aiohttp.ClientSession, address: str) -> Traffic | None:
    """What the pod at `address` has answered on /predict; None: no usable answer."""
    found = await _get(client, address, "metrics")
    return None if found is None or found[0] != 200 else counted(found[1])


async def complaint(client: aiohttp.ClientSession, address: str) -> str:
    """Why the pod at `address` will not get ready by itself, "" while it may."""
    found = await _get(client, address, "health")
    said = as_object(found[1]) if found else {}
    reason = said.get("reason")
    return " ".join(reason.split())[:400] if said.get("status") == "failed" and isinstance(reason, str) else ""


def counted(text: str) -> Traffic | None:
    """The counts of Prometheus text; None when it can't be read."""
    try:
        samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
    except ValueError:
        return None
    of_route = [s for s in samples if s.name.startswith(DURATION) and s.labels.get("http_route") == ROUTE]
    counts = [
        (s.labels.get("http_response_status_code", ""), s.value) for s in of_route if s.name == f"{DURATION}_count"
    ]
    return Traffic(
        requests=_sum(value for _, value in counts),
        errors=_sum(value for status, value in counts if status.startswith("5")),
        buckets=_buckets(s for s in of_route if s.name == f"{DURATION}_bucket"),
    )


def _buckets(samples: Iterable[Any]) -> tuple[tuple[float, int], ...]:
    bounds: dict[float, float] = {}
    for sample in samples:
        bound = float(sample.labels["le"])
        bounds[bound] = bounds.get(bound, 0.0) + sample.value
    return tuple((bound, int(bounds[bound])) for bound in sorted(bounds))


def _sum(values: Iterable[float]) -> int:
    return int(sum(values))


async def _get(client: aiohttp.ClientSession, address: str, path: str) -> tuple[int, str] | None:
    try:
        async with client.get(f"http://{address_of(address)}:{PORT}/{path}", allow_redirects=False) as answer:
            body = bytearray()
            async for piece in answer.content.iter_chunked(65536):
                body += piece
                if len(body) > LIMIT:
                    return None
            return answer.status, body.decode(errors="replace")
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError):
        return None
