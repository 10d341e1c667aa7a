"""Asks a trainer's pod how far it is.

The answer is untrusted: one second, 4 KiB, no redirects, and only numbers in their ranges come through.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import aiohttp

from mlops_operator.api.training_run import Progress
from mlops_operator.builders.job import PROGRESS_PORT
from mlops_operator.status.pod import STAGE_NAMES, address_of, as_object
from mlops_operator.status.result import ratio, whole

TIMEOUT = 1.0
LIMIT = 4096
CONCURRENT = 256


def session() -> aiohttp.ClientSession:
    """A session for `ask`; the caller closes it. Proxies from the environment are not used for pods."""
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=TIMEOUT), connector=aiohttp.TCPConnector(limit=CONCURRENT)
    )


async def ask(client: aiohttp.ClientSession, address: str, stage: str) -> Progress | None:
    """What the pod at `address` says of `stage` ("Train"); None: no usable answer about that stage."""
    try:
        url = f"http://{address_of(address)}:{PROGRESS_PORT}/progress"
        async with client.get(url, allow_redirects=False) as answer:
            if answer.status != 200:
                return None
            text = await answer.content.read(LIMIT)
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError):
        return None
    return clean(as_object(text.decode(errors="replace")), stage, datetime.now(UTC))


def clean(said: Mapping[str, Any], stage: str, now: datetime) -> Progress | None:
    """`said` as Progress, without what is out of range; None when it speaks of another stage."""
    name = said.get("stage")
    if not isinstance(name, str) or STAGE_NAMES.get(name, name) != stage:
        return None
    accuracy = said.get("valAccuracy")
    return Progress(
        stage=stage,
        seen=now,
        percent=_floor(said.get("percent"), 100),
        epoch=whole(said.get("epoch")),
        epochs=whole(said.get("epochs")),
        val_accuracy=accuracy if ratio(accuracy) is not None else None,
        eta_seconds=_floor(said.get("etaSeconds"), 10**7),
    )


def _floor(value: Any, most: int) -> int | None:
    """A number from 0 to `most` without its fraction; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        return None
    return int(value)
