"""The operator itself, as it is, with its event loop's lag sampled. With $BENCH_PROFILE, under cProfile."""

from __future__ import annotations

import asyncio
import cProfile
import logging
import os

from bench.operator.lag import sampled
from mlops_operator.__main__ import operate
from mlops_operator.api.settings import settings_from_env


async def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("kopf").setLevel(logging.WARNING)
    ports = int(os.environ["HEALTH_PORT"]), int(os.environ["METRICS_PORT"])
    async with sampled():
        await operate(settings_from_env(os.environ), *ports)


if __name__ == "__main__":
    if profile := os.environ.get("BENCH_PROFILE"):
        cProfile.run("asyncio.run(main())", profile)
    else:
        asyncio.run(main())
