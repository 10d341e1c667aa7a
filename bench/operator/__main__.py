"""`python -m bench.operator`: all figures of the operator and its peers, one after the other, in one run."""

from __future__ import annotations

import argparse
import asyncio

from bench.operator import peers, world
from bench.operator.burst import Burst, burst
from bench.operator.rest import connect


async def measure(given: argparse.Namespace) -> None:
    with world.running() as here:
        async with connect(here.kubeconfig) as admin:
            for number in range(given.rounds):
                for name in given.peers:
                    namespace = f"burst-{name}-{number}"
                    here.namespace(namespace)
                    peer = peers.start(here, name, namespace)
                    await peers.ready(admin, peer)
                    show(name, await burst(here, admin, peer, given.runs))


def show(name: str, found: Burst) -> None:
    lags = sorted(found.lags)
    p99 = lags[int(len(lags) * 0.99)] * 1000
    cpu = " ".join(f"{who} {seconds:.2f}" for who, seconds in found.cpu.items())
    print(
        f"{name}: created {found.created:.2f} s, served {found.served:.2f} s, lag p99 {p99:.0f} max {lags[-1] * 1000:.0f} ms, {found.memory:.0f} MB; CPU {cpu}"
    )
    print("   ", found.requests, flush=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    options.add_argument("--runs", type=int, default=1000, help="TrainingRuns of the burst")
    options.add_argument("--rounds", type=int, default=3, help="rounds of all peers, one after the other")
    options.add_argument("--peers", nargs="+", default=list(peers.MODULES), choices=list(peers.MODULES))
    asyncio.run(measure(options.parse_args()))


if __name__ == "__main__":
    main()
