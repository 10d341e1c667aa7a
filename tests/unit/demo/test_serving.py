"""The server is waited for until it serves this run's model, and asked about photographs it never saw."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from demo.errors import DemoError
from demo.serving import ask, served_at, unseen


def server(ready: str, sha256: str = "aa", url: str | None = "http://10.0.0.1/", generation: int = 1) -> dict[str, Any]:
    status: dict[str, Any] = {
        "conditions": [
            {
                "type": "Ready",
                "status": ready,
                "reason": "Loading",
                "message": "0 of 1 ready",
                "observedGeneration": 1,
            }
        ],
        "model": {"sha256": sha256},
    }
    return {"metadata": {"generation": generation}, "status": status | ({"url": url} if url else {})}


@pytest.mark.parametrize(
    ("resource", "answer"),
    [
        (server("True"), ("http://10.0.0.1/", "ready")),
        (server("True", url="http://10.0.0.1"), ("http://10.0.0.1/", "ready")),
        (server("False"), (None, "Loading: 0 of 1 ready")),
        (server("True", sha256="bb"), (None, "still serving the model before")),
        (server("True", url=None), (None, "waiting for an address")),
        (server("True", generation=2), (None, "Pending: ")),
        ({}, (None, "Pending: ")),
    ],
)
def test_an_address_only_for_the_model_that_was_asked_for(
    resource: dict[str, Any], answer: tuple[str | None, str]
) -> None:
    assert served_at(resource, "aa") == answer


def test_a_model_that_the_gate_refuses_is_not_waited_for() -> None:
    refused = server("True", sha256="bb")
    refused["status"]["quarantine"] = [{"sha256": "aa", "reason": "WorseThanServing", "message": "accuracy 0.7"}]
    with pytest.raises(DemoError) as caught:
        served_at(refused, "aa")
    said = "the gate does not let this model in (WorseThanServing): accuracy 0.7; docs/gate.md says how it decides"
    assert str(caught.value) == said
    assert served_at(refused, "bb")[1] == "ready"


def test_only_the_test_split_is_asked_about() -> None:
    splits = {"train": (1, 2), "val": (3,), "test": (20, 4, 5)}
    photos = [
        {"name": f"{label.capitalize()}/{n}.jpg", "label": label, "split": split}
        for label in ("dog", "cat")
        for split, numbers in splits.items()
        for n in numbers
    ]

    assert unseen({"photos": photos}, 2) == [
        ("Cat/4.jpg", "cat"),
        ("Cat/5.jpg", "cat"),
        ("Dog/4.jpg", "dog"),
        ("Dog/5.jpg", "dog"),
    ]


@pytest.fixture
def url() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            good = self.path == "/predict" and self.headers["Content-Type"] == "image/png" and body == b"png"
            answer = {"label": "dog", "confidence": 0.75} if good else {"error": "not a picture"}
            self.send_response(200 if good else 400)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}/"
        http.shutdown()
        thread.join()


def test_an_answer_and_whether_it_is_right(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    (tmp_path / "1.png").write_bytes(b"png")

    answer = ask(url, "Cat/1.png", "cat", tmp_path / "1.png")

    assert (answer.label, answer.confidence, answer.right) == ("dog", 0.75, False)


def test_a_refusal_carries_the_server_s_words(url: str, tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(b"text")

    with pytest.raises(DemoError, match=r'answered 400 for Cat/1.jpg: \{"error": "not a picture"\}'):
        ask(url, "Cat/1.jpg", "cat", tmp_path / "1.jpg")


def test_a_server_that_is_gone(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(b"text")

    with pytest.raises(DemoError, match=r"did not answer for Cat/1.jpg: .*refused"):
        ask("http://127.0.0.1:9/", "Cat/1.jpg", "cat", tmp_path / "1.jpg")
