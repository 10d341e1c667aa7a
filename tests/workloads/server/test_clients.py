"""Public exposure: API keys from a file that may change, a rate for each client, and pages of other origins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from catsdogs.server import api, clients
from catsdogs.server.clients import Keys, Rates, client
from catsdogs.server.config import ConfigError
from tests.workloads.server.samples import picture

JPEG = picture()
FILES = {"file": JPEG}
ONE, TWO = "first-key-0123456789", "second-key-0123456789"


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def exposed(context: api.Context) -> Iterator[Callable[..., TestClient]]:
    """A client of a server with other settings, and the address it sends from."""
    opened: list[TestClient] = []

    def start(address: str = "203.0.113.9", **changes: Any) -> TestClient:
        changed = api.Context(replace(context.settings, **changes), context.state, context.metrics, context.pool)
        opened.append(TestClient(api.application(changed), client=(address, 50000)))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text(f"# the first\n{ONE}\n\n  {TWO}\n")
    return path


def test_a_key_opens_what_is_not_open_to_all(exposed: Callable[..., TestClient], key_file: Path) -> None:
    client = exposed(api_keys_file=str(key_file))
    for path in ("/health", "/live", "/v2/health/live", "/v2/health/ready", "/", "/docs", "/openapi.json"):
        assert client.get(path).status_code == 200, path
    for path in ("/model", "/metrics", "/v2", "/v2/models/cats-dogs", "/nope", "/predict/"):
        assert client.get(path).status_code == 401, path
    for headers in ({}, {"X-API-Key": ONE[:-1]}, {"X-API-Key": ""}, {"Authorization": f"Basic {ONE}"}):
        answer = client.post("/predict", files=FILES, headers=headers)
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert answer.json() == {"error": "an API key is needed: send it as X-API-Key"}
        assert "X-Request-Id" in answer.headers
    for headers in ({"X-API-Key": ONE}, {"X-API-Key": TWO}, {"Authorization": f"bearer {TWO}"}):
        for path in ("/predict", "/explain"):
            assert client.post(path, files=FILES, headers=headers).status_code == 200
    assert client.get("/model", headers={"X-API-Key": ONE}).status_code == 200


def test_no_key_is_logged(exposed: Callable[..., TestClient], key_file: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    client = exposed(api_keys_file=str(key_file))
    client.post("/predict", files=FILES, headers={"X-API-Key": ONE})
    client.post("/predict", files=FILES, headers={"X-API-Key": "wrong-key-012345678"})
    ours = [record for record in caplog.records if record.name.startswith("catsdogs")]
    assert len(ours) == 2
    for record in ours:
        said = f"{record.getMessage()} {getattr(record, 'fields', '')}"
        assert ONE not in said
        assert "wrong-key" not in said


def test_keys_change_with_the_file(key_file: Path, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    keys = Keys(str(key_file), clock)
    assert keys.find(ONE)
    # As Kubernetes does it: another file takes the place of this one.
    other = key_file.with_name("other")
    other.write_text("third-key-0123456789")
    other.replace(key_file)
    assert keys.find(ONE), "looked at again once a second"
    clock.now += 1
    assert not keys.find(ONE)
    assert keys.find("third-key-0123456789")
    key_file.unlink()
    clock.now += 1
    assert keys.find("third-key-0123456789"), "a file that is gone for a moment locks nobody out"
    assert "the keys stay as they were" in caplog.text
    key_file.write_text("# none\n")
    clock.now += 1
    assert not keys.find("third-key-0123456789"), "an empty file lets nobody in"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "can't be used: [Errno 2] No such file or directory"),
        ("# none", "holds no key: write one a line"),
        ("short", "can't be used: a key has fewer than 16 characters"),
        (b"\xff" * 20, "can't be used: 'utf-8' codec can't decode"),
    ],
)
def test_a_file_without_keys_is_refused_at_start(tmp_path: Path, content: str | bytes | None, says: str) -> None:
    path = tmp_path / "keys"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError) as caught:
        Keys(str(path))
    assert str(caught.value).startswith(f"API_KEYS_FILE {path} {says}")


def scope(peer: str = "203.0.113.9", *forwarded: str, key: str = "") -> dict[str, Any]:
    headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in forwarded]
    return {"client": (peer, 1), "headers": headers, clients.KEY: key}


@pytest.mark.parametrize(
    ("asked", "proxies", "expected"),
    [
        (scope("203.0.113.9", "198.51.100.1"), 0, "203.0.113.9"),
        (scope("203.0.113.9", "198.51.100.1"), 1, "198.51.100.1"),
        (scope("203.0.113.9", "1.1.1.1, 198.51.100.1"), 1, "198.51.100.1"),
        (scope("203.0.113.9", "1.1.1.1, 198.51.100.1,192.0.2.7"), 2, "198.51.100.1"),
        (scope("203.0.113.9", "1.1.1.1", "198.51.100.1", "192.0.2.7"), 2, "198.51.100.1"),
        (scope("203.0.113.9", "198.51.100.1"), 2, "203.0.113.9"),
        (scope("203.0.113.9", "unknown"), 1, "203.0.113.9"),
        (scope("2001:db8:1:2:3:4:5:6"), 0, "2001:db8:1:2::"),
        (scope("::ffff:203.0.113.9"), 0, "203.0.113.9"),
        (scope("203.0.113.9", key="digest"), 1, "digest"),
        ({"client": None, "headers": []}, 1, ""),
    ],
)
def test_who_a_client_is(asked: dict[str, Any], proxies: int, expected: str) -> None:
    assert client(asked, proxies) == expected


def test_a_bucket_of_tokens() -> None:
    clock = Clock()
    rates = Rates(per_second=0.5, burst=2, proxies=0, clock=clock)
    for expected in (0, 0, 2):
        assert rates.wait(scope()) == expected
        if not expected:
            rates.spend(scope(), 1)
    assert rates.wait(scope("203.0.113.10")) == 0, "another client has its own"
    clock.now += 2
    assert rates.wait(scope()) == 0
    rates.spend(scope(), 3)  # two more than there are: owed
    assert rates.wait(scope()) == 6
    clock.now += 1000
    for expected in (0, 0, 2):
        assert rates.wait(scope()) == expected
        rates.spend(scope(), 1)


def test_the_table_of_clients_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "MOST_CLIENTS", 3)
    rates = Rates(per_second=1, burst=1, proxies=0, clock=Clock())
    for number in range(10):
        rates.spend(scope(f"203.0.113.{number}"), 1)
    assert list(rates.buckets) == ["203.0.113.7", "203.0.113.8", "203.0.113.9"]


def test_more_than_the_rate_is_refused_before_the_body(exposed: Callable[..., TestClient]) -> None:
    client = exposed(rate_per_second=0.01, rate_burst=4, trusted_proxies=1)
    assert client.post("/predict", files=[("file", JPEG)] * 3).status_code == 200
    assert client.post("/explain", files=FILES).status_code == 200
    answer = client.post("/predict", content=b"", headers={"Content-Type": "image/jpeg"})
    assert answer.status_code == 429
    wait = int(answer.headers["Retry-After"])
    assert 90 <= wait <= 100
    assert answer.json() == {"error": f"too many pictures: try again in {wait} s"}
    assert client.get("/health").status_code == 200
    assert client.get("/model").status_code == 200
    other = client.post("/predict", files=FILES, headers={"X-Forwarded-For": "6.6.6.6, 198.51.100.1"})
    assert other.status_code == 200, "another client behind the same load balancer"


def test_no_page_of_another_origin_may_read_an_answer(exposed: Callable[..., TestClient]) -> None:
    answer = exposed().get("/model", headers={"Origin": "https://a.example"})
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


def test_pages_of_allowed_origins(exposed: Callable[..., TestClient], key_file: Path) -> None:
    client = exposed(cors_origins=("https://a.example",), api_keys_file=str(key_file))
    preflight = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-api-key"}
    answer = client.options("/predict", headers={"Origin": "https://a.example", **preflight})
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "https://a.example"
    assert client.options("/predict", headers={"Origin": "https://b.example", **preflight}).status_code == 400
    headers = {"Origin": "https://a.example", "X-API-Key": ONE}
    answer = client.post("/predict", files=FILES, headers=headers)
    assert answer.headers["Access-Control-Allow-Origin"] == "https://a.example"
    assert "X-Request-Id" in answer.headers["Access-Control-Expose-Headers"]
    answer = client.get("/model", headers={**headers, "Origin": "https://b.example"})
    assert "Access-Control-Allow-Origin" not in answer.headers
