"""A real server under bad pictures, hostile uploads, slow senders, overload and SIGTERM, for seconds each.
The long form, with its bounds on times, is tests/reliability/server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workloads.server import attacks, real
from tests.workloads.server.samples import ModelFile, write_model


@pytest.fixture(scope="module")
def server(model_file: ModelFile, tmp_path_factory: pytest.TempPathFactory) -> Iterator[real.Server]:
    """Who sends too slowly has 1 s, and 2 more until closed."""
    running = real.start(model_file, tmp_path_factory.mktemp("server"), RECEIVE_SECONDS="1", DRAIN_SECONDS="0")
    try:
        yield running
    finally:
        status = running.stop()
    assert (status, running.complaints()) == (0, [])


def test_bad_pictures_are_answered_or_refused(server: real.Server) -> None:
    made, mutated = attacks.bad_pictures(server, 300)
    assert made.statuses.keys() == {200, 400}
    assert mutated.statuses.keys() == {200, 400}
    before = server.memory()
    attacks.bad_pictures(server, 300)
    assert server.memory() - before < 150


async def test_hostile_uploads_are_refused(server: real.Server) -> None:
    statuses, health = await attacks.uploads(server, 1)
    for name, found in statuses.items():
        assert found <= {400, 413} | ({408} if name == "a length above the body's" else set()), (name, found)
    assert health.statuses.keys() == {200}


async def test_slow_senders_are_closed_and_the_others_served(server: real.Server) -> None:
    found = await attacks.slow_senders(server, 50, 6)
    assert found.closed >= 50
    assert found.health.statuses.keys() == {200}
    assert found.honest.statuses.keys() == {200}


async def test_overload_is_refused_with_a_time_to_come_back(tmp_path: Path) -> None:
    slow = write_model(tmp_path, imageSize=512)
    running = await asyncio.to_thread(real.start, slow, tmp_path, QUEUE_LIMIT="16", DRAIN_SECONDS="0")
    try:
        found = await attacks.overload(running, 4, quiet=2)
    finally:
        running.stop()
    assert found.seen.statuses.keys() == {200, 503}
    assert {answer.headers.get("retry-after") for answer in found.seen.others} == {"1"}
    assert min(found.peak, found.during, found.after) > 0
    assert running.complaints() == []


async def test_no_request_is_lost_at_a_sigterm_under_load(tmp_path: Path) -> None:
    seen, exits = await attacks.terminations(write_model(tmp_path, imageSize=224), tmp_path, 2, share=0.4)
    assert seen.statuses.keys() == {200}, seen.others[:3]
    assert exits == [0, 0]
