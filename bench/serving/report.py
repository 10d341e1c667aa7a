"""What was measured, as tables. It must not measure."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from bench.photos import spread
from bench.serving.measure import PEERS, Round, Side

NAMES = {
    "ours": "this server",
    "plain_fastapi": "plain FastAPI",
    "litserve_docs": "LitServe, as documented",
    "litserve_tuned": "LitServe, tuned",
    "floor": "floor, no HTTP",
}
# Same decoder, same weights: what differs is the order of additions.
SAME = 1e-5


def table(rounds: list[Round]) -> None:
    """A line a side, then the ratios."""
    print(f"{'':<26}{'requests/s, 8 clients':>26}{'p50 ms, 1 client':>26}{'requests per CPU second':>28}")
    for name, text in NAMES.items():
        sides = [each[name] for each in rounds]
        p50 = spread([side.p50 for side in sides], ".1f") if name != "floor" else ""
        per_cpu = spread([side.rate / side.cpu for side in sides])
        print(f"{text:<26}{spread([side.rate for side in sides]):>26}{p50:>26}{per_cpu:>28}")
    for name in PEERS:
        print(f"  rate, times that of {NAMES[name]}: {_ratios(rounds, name, lambda side: side.rate)}")
    print(f"  p50 at 1 client, of plain FastAPI's: {_ratios(rounds, 'plain_fastapi', lambda side: side.p50)}")
    print(f"  share of the floor's rate, clients on the same cores: {_ratios(rounds, 'floor', lambda side: side.rate)}")
    print(
        f"  share of the floor's rate, clients' CPU left out: {spread([_net(each) for each in rounds], '.2f')}",
        flush=True,
    )


def _ratios(rounds: Iterable[Round], peer: str, value: Callable[[Side], float]) -> str:
    return spread([value(each["ours"]) / value(each[peer]) for each in rounds], ".2f")


def _net(each: Round) -> float:
    """The server's rate by what the clients left of the cores, over the floor's by all of them."""
    cores = os.cpu_count() or 1
    left = cores - each["ours"].client_cpu
    return each["ours"].rate / left / (each["floor"].rate / cores)


def check_answers(last: Round) -> None:
    """Raises SystemExit when sides that decode alike differ; says how far the others agree."""
    ours = last["ours"].answers
    for name in ("floor", "litserve_tuned"):
        other = last[name].answers
        worst = max(abs(ours[number] - other[number]) for number in ours.keys() & other.keys())
        if worst > SAME:
            raise SystemExit(f"{NAMES[name]} answers otherwise: a probability differs by {worst:.2g}")
    for name in ("plain_fastapi", "litserve_docs"):
        other = last[name].answers
        both = ours.keys() & other.keys()
        alike = sum((ours[number] > 0.5) == (other[number] > 0.5) for number in both)
        print(f"  {NAMES[name]}, whose resampling is PIL's, gives the same label for {alike} of {len(both)}")


def memory(running: dict[str, Any]) -> None:
    sizes = [f"{NAMES[name]} {side.memory():.0f}" for name, side in running.items() if name != "floor"]
    print(f"  memory after the rounds, MiB: {', '.join(sizes)}")


def saturated(health: dict[str, list[float]]) -> None:
    for name, took in health.items():
        print(f"  {name} while saturated: {percentiles(took)} of {len(took)}")


def open_loop(done: dict[str, Any]) -> None:
    statuses = ", ".join(f"{count} x {status}" for status, count in done["statuses"].items())
    print(f"  open loop at {done['rate']:.0f} requests/s, 70 %: {percentiles(done['took'])}; {statuses}")


def started(seconds: list[float]) -> None:
    print(f"\nstart to first 200 of /predict, model in the bucket: {spread(seconds, '.2f')} s")


def percentiles(seconds: Sequence[float]) -> str:
    """p50, p95 and p99 in milliseconds."""
    cuts = statistics.quantiles(seconds, n=100)
    return ", ".join(f"p{percent} {1000 * cuts[percent - 1]:.1f} ms" for percent in (50, 95, 99))
