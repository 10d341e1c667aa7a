"""A real server attacked for minutes, with bounds on what it may cost; the figures are printed.
The short form is tests/workloads/server/test_hard_to_break.py."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workloads.server import attacks, real
from tests.workloads.server.attacks import figures
from tests.workloads.server.samples import ModelFile, write_model

MUTATED = 5000


@pytest.fixture
def server(model_file: ModelFile, tmp_path: Path) -> Iterator[real.Server]:
    """With the default limits."""
    running = real.start(model_file, tmp_path, DRAIN_SECONDS="0")
    try:
        yield running
    finally:
        status = running.stop()
    assert (status, running.complaints()) == (0, [])


def tell(capsys: pytest.CaptureFixture[str], *lines: str) -> None:
    """Figures are shown also where a test passes."""
    with capsys.disabled():
        print("", *lines, sep="\n  ")


def test_bad_pictures(server: real.Server, capsys: pytest.CaptureFixture[str]) -> None:
    attacks.bad_pictures(server, 100)
    before = server.memory()
    made, mutated = attacks.bad_pictures(server, MUTATED)
    grown = server.memory() - before
    tell(
        capsys,
        f"hand-made pictures: {figures(made)}",
        f"mutated pictures: {figures(mutated)}",
        f"memory {before:.0f} MiB before, {grown:+.0f} after, {server.memory('VmHWM') - before:+.0f} at the peak",
    )
    for seen in (made, mutated):
        assert seen.statuses.keys() == {200, 400}
        assert seen.percentile(0.99) < 2
    assert sum(mutated.statuses.values()) == MUTATED
    assert grown < 150


async def test_uploads(server: real.Server, capsys: pytest.CaptureFixture[str]) -> None:
    statuses, health = await attacks.uploads(server, 3)
    tell(
        capsys,
        *(f"{name}: {', '.join(map(str, found))}" for name, found in statuses.items()),
        f"/health on the same port: {figures(health)}, at most {1000 * max(health.took):.0f} ms",
    )
    for name, found in statuses.items():
        assert found <= {400, 413} | ({408} if name == "a length above the body's" else set()), (name, found)
    assert health.statuses.keys() == {200}
    assert max(health.took) < 0.1


async def test_slow_senders(server: real.Server, capsys: pytest.CaptureFixture[str]) -> None:
    found = await attacks.slow_senders(server, 500, 300)
    tell(
        capsys,
        f"500 slow senders, {found.closed} closed; the longest: "
        + ", ".join(f"{kind} {seconds:.1f} s" for kind, seconds in found.longest.items()),
        f"/health: {figures(found.health)}",
        f"honest /predict: {figures(found.honest)}",
    )
    assert max(found.longest.values()) < 15
    assert found.health.statuses.keys() == {200}
    assert found.honest.statuses[200] >= 0.999 * sum(found.honest.statuses.values())


async def test_overload(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With a network of some 0.2 s a picture, so that the clients, which share the cores, cost little beside it."""
    slow = write_model(tmp_path, imageSize=1024)
    running = await asyncio.to_thread(real.start, slow, tmp_path, DRAIN_SECONDS="0")
    try:
        found = await attacks.overload(running, 60, quiet=20)  # over 5 s the most differs by a sixth
    finally:
        running.stop()
    tell(
        capsys,
        f"answers a second: {found.peak:.1f} at the most, {found.during:.1f} while ten times as much came "
        f"({found.during / found.peak:.0%}), {found.after:.1f} in the 20 s after",
        figures(found.seen),
    )
    assert found.seen.statuses.keys() == {200, 503}
    assert {answer.headers.get("retry-after") for answer in found.seen.others} == {"1"}
    assert found.during >= 0.9 * found.peak
    assert found.after >= 0.9 * found.peak
    assert running.complaints() == []


async def test_terminations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen, exits = await attacks.terminations(write_model(tmp_path, imageSize=224), tmp_path, 20)
    tell(capsys, f"20 SIGTERMs under load: {figures(seen)}")
    assert seen.statuses.keys() == {200}, seen.others[:3]
    assert exits == [0] * 20
