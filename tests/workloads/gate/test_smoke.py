"""Smoke requests to the real server process; a fake one only for what the real one can't be made to do."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from catsdogs.errors import StageError
from catsdogs.gate import judge, samples, smoke
from catsdogs.gate.samples import Picture
from catsdogs.gate.settings import ModelFile
from catsdogs.pipeline import bucket as store_client
from catsdogs.server import predictor
from tests.workloads.gate import planted
from tests.workloads.gate.conftest import World, new_world
from tests.workloads.pod.conftest import WORKLOADS, Store, free_port

RANDOM = planted.np.random.default_rng(7)
CAT, DOG = (planted.png(planted.pixels(label, 0, RANDOM)) for label in ("cat", "dog"))


@pytest.fixture(scope="module")
def loaded(world: World, serving: ModelFile) -> predictor.Predictor:
    return predictor.load(world.folder / "5e5e00000001.pt", serving.sha256)


@pytest.fixture(scope="module")
def server(world: World, serving: ModelFile) -> Iterator[str]:
    """The address of a real server of the model `serving`, which may still be loading."""
    port = free_port()
    environment = {
        **{name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ},
        "PYTHONPATH": str(WORKLOADS),
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "OPS_PORT": str(free_port()),
        "MODEL_URI": str(serving.address),
        "MODEL_SHA256": serving.sha256,
        "STORAGE_EMULATOR_HOST": world.store.endpoint,
        "DRAIN_SECONDS": "0",
    }
    process = subprocess.Popen([sys.executable, "-m", "catsdogs.server"], env=environment, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 120
    try:
        while True:
            assert (process.poll(), time.monotonic() < until) == (None, True)
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine of the tests may be busy; a pod's is not."""
    monkeypatch.setattr(smoke, "BUDGET", 120.0)


def asked(loaded: predictor.Predictor) -> smoke.Expected:
    return lambda data: loaded.predict(data).probabilities


@pytest.mark.usefixtures("patient")
def test_the_real_server_passes_also_when_it_is_still_loading(
    server: str, serving: ModelFile, loaded: predictor.Predictor
) -> None:
    pictures = [*samples.generated(), Picture("golden/Cat/1.png", CAT, "cat"), Picture("golden/Dog/1.png", DOG, "dog")]

    millis, failure = smoke.ask(server, serving.sha256, pictures, asked(loaded), limit=60_000)

    assert (len(pictures), failure) == (26, "")
    assert millis > 0


@pytest.mark.usefixtures("patient")
def test_a_whole_judgement_with_golden_pictures(store: Store, server: str, serving: ModelFile, tmp_path: Path) -> None:
    world = new_world(store, tmp_path, "golden", planted.pictures())
    candidate = world.publish("5e5e00000001", planted.SERVING)
    for number in range(4):
        world.put(f"golden/Cat/{number}.png", CAT)
        world.put(f"golden/Dog/{number}.PNG", DOG)
    world.put("golden/Dog/", b"")
    world.put("golden/Dog/readme.txt", b"chosen by hand")
    assert candidate.sha256 == serving.sha256
    case = world.case(candidate, candidate_url=server)

    passed = judge.judge(case)
    for number in range(2):
        world.put(f"golden/Cat/{number}.png", DOG)
    failed = judge.judge(case)

    assert (passed["verdict"], passed["smokeMillis"] > 0) == ("Accepted", True)
    assert (failed["verdict"], failed["message"]) == (
        "SmokeFailed",
        "6 of 8 golden pictures right, needed 80%; wrong: golden/Cat/0.png (dog), golden/Cat/1.png (dog)",
    )
    assert failed["smokeMillis"] > 0
    page = world.read(failed["report"].removeprefix("gs://golden/"))
    assert b"SmokeFailed" in page


@pytest.mark.usefixtures("patient")
def test_where_nothing_is_scored_its_pod_is_asked_all_the_same(store: Store, server: str, tmp_path: Path) -> None:
    world = new_world(store, tmp_path, "unscored", planted.pictures())
    candidate = world.publish("5e5e00000001", planted.SERVING)
    case = world.case(candidate, candidate_url=server, policy="None")

    passed = judge.judge(case)
    for number in range(4):
        world.put(f"golden/Cat/{number}.png", DOG)
    failed = judge.judge(case)

    assert (passed["verdict"], "count" in passed) == ("Accepted", False)
    assert failed["verdict"] == "SmokeFailed"


@pytest.mark.usefixtures("patient")
def test_a_pod_of_another_digest(server: str, serving: ModelFile, loaded: predictor.Predictor) -> None:
    _, failure = smoke.ask(server, "ab" * 32, [Picture("p", CAT)], asked(loaded), 0)

    assert failure == f"/health answers for model {serving.sha256[:12]}, not abababababab"


@pytest.mark.usefixtures("patient")
def test_a_pod_that_sees_pictures_otherwise_than_the_judge(
    server: str, serving: ModelFile, loaded: predictor.Predictor
) -> None:
    _, failure = smoke.ask(server, serving.sha256, [Picture("p", CAT)], lambda _: {"cat": 0.5, "dog": 0.5}, 0)

    assert failure.startswith("p: the pod's probabilities differ by 0.")


@pytest.mark.usefixtures("patient")
def test_a_pod_that_is_too_slow_by_the_spec(server: str, serving: ModelFile, loaded: predictor.Predictor) -> None:
    millis, failure = smoke.ask(server, serving.sha256, list(samples.generated()), asked(loaded), limit=0.001)

    assert failure == f"the 95th percentile of 24 answers is {millis:.0f} ms, allowed are 0.001"


def test_a_golden_picture_that_is_none_is_no_verdict(world: World, loaded: predictor.Predictor) -> None:
    with pytest.raises(StageError, match=r"the golden picture golden/Cat/1\.png can't") as caught:
        smoke.ask("http://127.0.0.1:9", "ab" * 32, [Picture("golden/Cat/1.png", b"no", "cat")], asked(loaded), 0)

    assert caught.value.code == 65


def test_no_golden_pictures_are_fine(world: World) -> None:
    assert samples.golden(store_client.open_bucket(world.bucket)) == []


def test_a_pod_that_nobody_can_reach_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smoke, "BUDGET", 0.5)

    with pytest.raises(StageError, match="the candidate's pod did not answer within 0 s: ") as caught:
        smoke.ask(f"http://127.0.0.1:{free_port()}", "ab" * 32, [], lambda _: {}, 0)

    assert caught.value.code == 75


Answer = tuple[int, Any]


@contextmanager
def fake(health: Answer, predict: Answer | None = None, seconds: float = 0.0) -> Iterator[str]:
    """A server of these answers, the second after `seconds`, or never when it is None."""
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.tell(health)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            if predict is None:
                ended.wait()
            else:
                time.sleep(seconds)
                self.tell(predict)

        def tell(self, answer: Answer) -> None:
            body = answer[1] if isinstance(answer[1], bytes) else json.dumps(answer[1]).encode()
            self.send_response(answer[0])
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    found = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.daemon_threads = True
    thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{found.server_port}"
    finally:
        ended.set()
        found.shutdown()
        thread.join()
        found.server_close()


DIGEST = "ab" * 32
HEALTHY: Answer = (200, {"status": "healthy", "model_loaded": True, "sha256": DIGEST})
GOOD = {"label": "cat", "confidence": 0.9, "probabilities": {"cat": 0.9, "dog": 0.1}, "model": {"sha256": DIGEST}}


def told(health: Answer, predict: Answer | None = (200, GOOD), seconds: float = 0.0, limit: float = 0.0) -> str:
    expected: Callable[[bytes], dict[str, float]] = lambda _: {"cat": 0.9, "dog": 0.1}  # noqa: E731
    with fake(health, predict, seconds) as url:
        return smoke.ask(url, DIGEST, [Picture("p", CAT)] * 3, expected, limit)[1]


def test_the_fake_of_these_tests_passes() -> None:
    assert told(HEALTHY) == ""


@pytest.mark.parametrize(
    ("predict", "failure"),
    [
        ((500, {"error": "the server failed with RuntimeError"}), "/predict answers 500: the server failed with Runt"),
        ((502, b"<html>bad gateway</html>"), "/predict answers 502: None"),
        ((200, b"\x00" * 100_000), "/predict answers for model None, not abababababab"),
        ((200, [1]), "/predict answers for model None, not abababababab"),
        ((200, {**GOOD, "model": {"sha256": "cd" * 32}}), "/predict answers for model cdcdcdcdcdcd, not abababababab"),
        ((200, {**GOOD, "probabilities": {"cat": 0.9}}), "/predict answers without a probability for each class"),
        ((200, {**GOOD, "confidence": "sure"}), "/predict answers with what is no probability: "),
        ((200, {**GOOD, "probabilities": {"cat": 0.9, "dog": 7}}), "/predict answers with what is no probability: "),
        ((200, {**GOOD, "label": "dog"}), "/predict answers dog, which is not its most probable class"),
        ((200, {**GOOD, "label": ["cat"]}), "/predict answers ['cat'], which is not its most probable class"),
    ],
    ids=["500", "502", "no JSON", "a list", "digest", "a class less", "text", "7", "label", "a list as label"],
)
def test_a_pod_whose_answer_is_wrong(predict: Answer, failure: str) -> None:
    assert failure in told(HEALTHY, predict)


def test_a_pod_that_is_slow() -> None:
    assert told(HEALTHY, seconds=0.15, limit=100).startswith("the 95th percentile of 3 answers is ")


def test_a_pod_that_never_answers_ends_with_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smoke, "BUDGET", 3.0)

    assert told(HEALTHY, None) == "p: no answer to /predict: timed out"


@pytest.mark.parametrize("status", ["loading", "failed"])
def test_a_pod_that_does_not_become_healthy(status: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smoke, "BUDGET", 3.0)

    failure = told((503, {"status": status, "model_loaded": False, "reason": "SHA-256 is 1, not 2"}))

    assert failure == "/health answers 503: SHA-256 is 1, not 2"
