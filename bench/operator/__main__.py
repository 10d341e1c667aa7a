"""`python -m bench.operator`: the figures of the operator beside its peers, measured in turns in one run."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections import defaultdict

from bench.operator import peers, report, world
from bench.operator.burst import Burst, burst
from bench.operator.lives import Lives, lives
from bench.operator.many import many
from bench.operator.peers import Peer
from bench.operator.rest import Api, connect

SCENES = ("burst", "lives", "many")


async def measure(here: world.World, admin: Api, given: argparse.Namespace) -> None:
    async def fresh(scene: str, name: str, number: int) -> Peer:
        namespace = f"{scene}-{name}-{number}"
        here.namespace(namespace)
        peer = peers.start(here, name, namespace)
        await peers.ready(admin, peer)
        return peer

    if "burst" in given.scenes:
        bursts: dict[str, list[Burst]] = defaultdict(list)
        for number in range(given.rounds):
            for name in given.peers:
                peer = await fresh("burst", name, number)
                bursts[name].append(await burst(here, admin, peer, given.runs))
                print(f"burst {number + 1} of {given.rounds}, {name}: {bursts[name][-1].served:.1f} s", flush=True)
        report.show_bursts(bursts)
    if "lives" in given.scenes:
        lived: dict[str, list[Lives]] = defaultdict(list)
        for number in range(given.life_rounds):
            for name in (peer for peer in given.peers if peer != "floor"):
                peer = await fresh("lives", name, number)
                lived[name].append(await lives(here, admin, peer, given.runs, given.stage))
        report.show_lives(lived)
    if "many" in given.scenes:
        report.show_many(await many(here, admin, await fresh("many", "operator", 0), given.many))


async def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    options.add_argument("--scenes", nargs="+", default=list(SCENES), choices=SCENES)
    options.add_argument("--peers", nargs="+", default=list(peers.MODULES), choices=list(peers.MODULES))
    options.add_argument("--runs", type=int, default=1000, help="TrainingRuns of a burst, and of the lives")
    options.add_argument("--rounds", type=int, default=3, help="bursts of each peer, in turns")
    options.add_argument("--life-rounds", type=int, default=1, help="rounds of lives")
    options.add_argument("--stage", type=float, default=20.0, help="seconds that a stage lasts in the lives")
    options.add_argument("--many", type=int, default=10_000, help="TrainingRuns of the scene many")
    given = options.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the world is taken down
    with world.running() as here:
        async with connect(here.kubeconfig) as admin:
            await measure(here, admin, given)


if __name__ == "__main__":
    asyncio.run(main())
