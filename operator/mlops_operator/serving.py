"""Asks the pods of model servers what they have answered, and those that are not ready why.

The answers are untrusted: two seconds, 256 KiB, no redirects, and only numbers in their ranges come through.
"""

from collections.abc import Iterable, Mapping, Sequence

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
Samples = Sequence[tuple[Mapping[str, str], float]]


def session() -> aiohttp.ClientSession:
    """A session for the two questions; the caller closes it. Proxies from the environment are not used for pods."""
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=TIMEOUT), connector=aiohttp.TCPConnector(limit=CONCURRENT)
    )


async def traffic(client: aiohttp.ClientSession, address: str) -> Traffic | None:
    """What the pod at `address` has answered on /predict; None: no usable answer."""
    found = await _get(client, address, "metrics")
    return None if found is None or found[0] != 200 else counted(found[1])


async def health(client: aiohttp.ClientSession, address: str) -> tuple[str, str]:
    """How the pod at `address` says that it is, and why: "failed" for its model's sake, "waiting" for what is not its
    fault, "healthy", "" when it says nothing of the kind."""
    found = await _get(client, address, "health")
    said = as_object(found[1]) if found else {}
    status, reason = said.get("status"), said.get("reason", "")
    if status not in ("failed", "waiting", "healthy") or not isinstance(reason, str):
        return "", ""
    return status, " ".join(reason.split())[:400]


def counted(text: str) -> Traffic | None:
    """The counts of Prometheus text; None when it can't be read."""
    try:
        samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
    except ValueError:
        return None
    of_route = [s for s in samples if s.name.startswith(DURATION) and s.labels.get("http_route") == ROUTE]
    return counts(
        [(s.labels, s.value) for s in of_route if s.name == f"{DURATION}_count"],
        [(s.labels, s.value) for s in of_route if s.name == f"{DURATION}_bucket"],
    )


def counts(by_status: Samples, by_bound: Samples) -> Traffic:
    """Traffic from the samples of the histogram's counts and buckets, each with its labels."""
    statuses = [(labels.get("http_response_status_code", ""), value) for labels, value in by_status]
    bounds: dict[float, float] = {}
    for labels, value in by_bound:
        bound = float(labels["le"])
        bounds[bound] = bounds.get(bound, 0.0) + value
    return Traffic(
        requests=_sum(value for _, value in statuses),
        errors=_sum(value for status, value in statuses if status.startswith("5")),
        buckets=tuple((bound, int(bounds[bound])) for bound in sorted(bounds)),
    )


def _sum(values: Iterable[float]) -> int:
    return int(sum(values))


async def body(answer: aiohttp.ClientResponse, limit: int) -> bytes:
    """The answer's body; ValueError when it is longer than `limit` bytes."""
    found = bytearray()
    async for piece in answer.content.iter_chunked(65536):
        found += piece
        if len(found) > limit:
            raise ValueError(f"the answer is longer than {limit} bytes")
    return bytes(found)


async def _get(client: aiohttp.ClientSession, address: str, path: str) -> tuple[int, str] | None:
    try:
        async with client.get(f"http://{address_of(address)}:{PORT}/{path}", allow_redirects=False) as answer:
            return answer.status, (await body(answer, LIMIT)).decode(errors="replace")
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError):
        return None
