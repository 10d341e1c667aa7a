"""Asks a Prometheus, such as Google's managed one, what the pods of model servers have answered, by its query API.

The counts are the pods' own as of the last scrape. Answers are untrusted; that there is none is said in the log.
"""

import asyncio
import json
import logging
import math
import time
from collections.abc import Iterable, Mapping
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp
from google.auth import exceptions as auth_exceptions

from mlops_operator.account import Account
from mlops_operator.api.gate import Traffic
from mlops_operator.serving import DURATION, ROUTE, body, counts

log = logging.getLogger(__name__)

QUERY_SECONDS = 15.0
TIMEOUT = 10.0
LIMIT = 4 * 1024 * 1024
SCOPE = "https://www.googleapis.com/auth/monitoring.read"
UNUSABLE = (
    aiohttp.ClientError,
    TimeoutError,
    OSError,
    ValueError,
    KeyError,
    TypeError,
    auth_exceptions.GoogleAuthError,
)
Pod = tuple[str, str]
"""Namespace and name."""


class Prometheus:
    """The Prometheus at `url` ("": none), asked at most every QUERY_SECONDS; used as an async context.

    Google's wants the account of the environment (role monitoring.viewer), any other one nobody's.
    """

    def __init__(self, url: str) -> None:
        self.problem = ""
        self._url, self._known, self._asked = url, dict[Pod, Traffic](), -math.inf
        self._account = Account(SCOPE) if (urlsplit(url).hostname or "").endswith(".googleapis.com") else None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def traffic(self, namespaces: Iterable[str]) -> Mapping[Pod, Traffic]:
        """What each pod has answered on /predict; empty, with `problem` set, when Prometheus gives no usable answer."""
        if not self._url or time.monotonic() - self._asked < QUERY_SECONDS:
            return self._known
        try:
            async with asyncio.timeout(TIMEOUT):  # the login at Google's account too, which has no other
                self._known, problem = await self._ask("|".join(namespaces)), ""
        except UNUSABLE as error:
            said = (str(error).splitlines() or [""])[0][:300]
            self._known, problem = {}, f"{self._url} can't be asked: {type(error).__name__} {said}"
        if problem != self.problem:
            log.warning("%s", f"{problem}; pods are asked themselves" if problem else f"{self._url} answers again")
        self.problem, self._asked = problem, time.monotonic()
        return self._known

    async def _ask(self, namespaces: str) -> dict[Pod, Traffic]:
        of = f'{{namespace=~"{namespaces}",http_route="{ROUTE}"}}'
        by_status, by_bound = await asyncio.gather(
            self._query(f"sum by (namespace, pod, http_response_status_code) ({DURATION}_count{of})"),
            self._query(f"sum by (namespace, pod, le) ({DURATION}_bucket{of})"),
        )
        pods = dict.fromkeys(pod for pod, _, _ in by_status)
        return {pod: counts(_of(pod, by_status), _of(pod, by_bound)) for pod in pods}

    async def _query(self, query: str) -> list[tuple[Pod, Mapping[str, str], float]]:
        """The series of an instant query: pod, labels, value."""
        headers = await self._account.headers() if self._account else {}
        async with self._session.post(f"{self._url}/api/v1/query", data={"query": query}, headers=headers) as answer:
            text = (await body(answer, LIMIT)).decode(errors="replace")
            if answer.status != 200:
                raise ValueError(f"{answer.status} {text[:200]}")
        series: list[dict[str, Any]] = json.loads(text)["data"]["result"]
        return [_sample(one["metric"], one["value"][1]) for one in series]


def _sample(labels: Mapping[str, str], value: str) -> tuple[Pod, Mapping[str, str], float]:
    number = float(value)
    if not 0 <= number < math.inf:
        raise ValueError(f"{value} is no count")
    return (labels["namespace"], labels["pod"]), labels, number


def _of(pod: Pod, samples: Iterable[tuple[Pod, Mapping[str, str], float]]) -> list[tuple[Mapping[str, str], float]]:
    return [(labels, value) for whose, labels, value in samples if whose == pod]
