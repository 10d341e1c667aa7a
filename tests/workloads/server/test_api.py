"""The HTTP API as a client sees it: every answer, and every refusal with its status and one line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from starlette.testclient import TestClient

from catsdogs.server import api, logs
from catsdogs.server.openapi import DOCUMENT
from tests.workloads.server.samples import picture

JPEG = picture()


def check_answer(body: dict[str, object]) -> None:
    assert set(body) == {"label", "confidence", "probabilities", "timing"}
    timing = body["timing"]
    assert isinstance(timing, dict)
    assert list(timing) == ["queue_ms", "decode_ms", "forward_ms"]
    assert all(0 <= took < 60_000 for took in timing.values())
    shares = body["probabilities"]
    assert isinstance(shares, dict)
    assert set(shares) == {"cat", "dog"}
    assert sum(shares.values()) == pytest.approx(1, abs=1e-5)
    assert body["label"] == max(shares, key=shares.__getitem__)
    assert body["confidence"] == max(shares.values())


def untimed(body: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in body.items() if name != "timing"}


def test_multipart_and_raw_give_the_same_answer(client: TestClient, context: api.Context) -> None:
    png = picture("PNG")
    answers = [
        client.post("/predict", files={"file": ("a.png", png, "image/png")}),
        client.post("/predict", files={"anything": ("a", png)}, data={"comment": "x"}),
        client.post("/predict", content=png, headers={"Content-Type": "image/png"}),
        client.post("/predict", content=png, headers={"Content-Type": "application/octet-stream"}),
        client.post("/predict", content=iter([png[:9], png[9:]]), headers={"Content-Type": "image/png"}),
    ]
    for answer in answers:
        assert answer.status_code == 200, answer.text
        assert untimed(answer.json()) == untimed(answers[0].json())
        assert answer.headers["X-Model-Version"] == "abc123def456"
        assert answer.headers["X-Model-Sha256"] == context.settings.model_sha256
        assert answer.headers["X-Training-Run"] == "cats-dogs/demo"
        assert re.fullmatch(r"queue;dur=[\d.]+, decode;dur=[\d.]+, forward;dur=[\d.]+", answer.headers["Server-Timing"])
    body = answers[0].json()
    assert body.pop("model") == {"version": "abc123def456", "sha256": context.settings.model_sha256}
    check_answer(body)


def test_several_pictures_are_answered_in_order(client: TestClient, context: api.Context) -> None:
    """Each as it would be alone; a picture that can't be read has its error in its place."""
    other = picture("PNG", size=(9, 70))
    alone = [untimed(client.post("/predict", files={"file": data}).json()) for data in (JPEG, other)]
    assert alone[0]["probabilities"] != alone[1]["probabilities"]
    for data, model in zip(alone, [answer.pop("model") for answer in alone], strict=True):
        assert model == {"version": "abc123def456", "sha256": context.settings.model_sha256}, data

    answer = client.post("/predict", files=[("a", JPEG), ("b", b"text"), ("a", other), ("c", JPEG)])
    assert answer.status_code == 200
    body = answer.json()
    assert list(body) == ["predictions", "model"]
    assert body["model"] == {"version": "abc123def456", "sha256": context.settings.model_sha256}
    first, bad, second, third = body["predictions"]
    assert bad == {"error": "not a JPEG or PNG picture: send one of these two formats"}
    for found in (first, second, third):
        check_answer(found)
    assert [untimed(found) for found in (first, second, third)] == [alone[0], alone[1], alone[0]]
    assert (context.pictures.used, context.memory.used) == (0, 0)
    lines = client.get("/metrics").text.splitlines()
    assert "catsdogs_prediction_confidence_count 5.0" in lines
    assert 'catsdogs_refused_total{reason="picture"} 1.0' in lines


def test_more_pictures_than_the_server_has_room_for_are_busy_or_too_many(
    context: api.Context,
) -> None:
    narrow = api.Context(
        replace(context.settings, workers=1, queue_limit=2, max_pictures=16),
        context.state,
        context.metrics,
        context.pool,
    )
    with TestClient(api.application(narrow)) as client:
        answer = client.post("/predict", files=[("file", JPEG)] * 4)
        assert (answer.status_code, answer.json()) == (
            413,
            {"error": "the form holds 4 pictures: send at most 3 in one request"},
        )
        with narrow.pictures.holding(1):
            assert client.post("/predict", files=[("file", JPEG)] * 3).status_code == 503
            assert client.post("/predict", files=[("file", JPEG)] * 2).status_code == 200


def test_a_client_of_the_first_implementation(client: TestClient) -> None:
    assert client.get("/health").json()["model_loaded"] is True
    body = client.post("/predict", files={"file": ("test.jpg", JPEG, "image/jpeg")}).json()
    assert body["label"] in ("cat", "dog")
    assert {"confidence", "probabilities"} <= set(body)


BIG = b"x" * 300_000
RAW = {"Content-Type": "image/jpeg"}
TOO_LARGE = "the picture is larger than 200000 bytes"
TYPES = "send multipart/form-data with a field 'file', or an image/jpeg or image/png body"


@pytest.mark.parametrize(
    ("request_", "status", "says"),
    [
        ({"content": b"hello", "headers": RAW}, 400, "not a JPEG or PNG picture: send one of these two formats"),
        ({"content": b"", "headers": RAW}, 400, "the picture is empty: send a JPEG or PNG file"),
        ({"files": {"file": b"text"}}, 400, "not a JPEG or PNG picture: send one of these two formats"),
        (
            {"files": [("file", b"text"), ("file", b"")]},
            400,
            "none of the 2 pictures can be read; the first: not a JPEG or PNG picture: send one of these two formats",
        ),
        ({"files": [("file", JPEG)] * 17}, 413, "the form holds 17 pictures: send at most 16 in one request"),
        ({"files": [("file", b"x" * 100_001)] * 2}, 413, TOO_LARGE),
        (
            {"content": JPEG, "headers": {"Content-Type": "multipart/form-data"}},
            400,
            "the multipart Content-Type has no boundary",
        ),
        ({"content": BIG, "headers": RAW}, 413, TOO_LARGE),
        ({"content": iter([BIG] * 9), "headers": RAW}, 413, TOO_LARGE),
        ({"files": {"file": BIG}}, 413, TOO_LARGE),
        ({"files": {"file": b"x" * 200_001}}, 413, TOO_LARGE),
        ({"content": JPEG, "headers": {**RAW, "Content-Length": "999999999"}}, 413, TOO_LARGE),
        ({"data": {"file": "x"}}, 415, TYPES),
        ({"content": JPEG}, 415, TYPES),
        ({"content": JPEG, "headers": {"Content-Type": "image/gif"}}, 415, TYPES),
        (
            {"content": JPEG, "headers": {**RAW, "Content-Encoding": "gzip"}},
            415,
            "send the picture without Content-Encoding",
        ),
    ],
)
def test_refusals(client: TestClient, request_: dict[str, object], status: int, says: str) -> None:
    answer = client.post("/predict", **request_)  # type: ignore[arg-type]
    assert (answer.status_code, answer.json()) == (status, {"error": says})


def test_other_paths_and_methods(client: TestClient) -> None:
    assert client.get("/nope").json() == {"error": "GET /nope: Not Found; GET /docs shows the API"}
    answer = client.get("/predict")
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "POST"
    assert answer.json() == {"error": "GET /predict: Method Not Allowed; GET /docs shows the API"}


def test_without_a_model_there_is_no_answer(context: api.Context) -> None:
    context.state.served = None
    context.state.fail("gs://b/model.pt does not exist")
    with TestClient(api.application(context)) as client:
        for answer in (client.post("/predict", files={"file": JPEG}), client.get("/model")):
            assert answer.status_code == 503
            assert answer.headers["Retry-After"] == "2"
            assert answer.json() == {"error": "no model yet: gs://b/model.pt does not exist"}
            assert "X-Model-Version" not in answer.headers
        assert client.get("/health").status_code == 503
        assert client.get("/live").status_code == 200


@pytest.fixture
def tight(context: api.Context) -> Iterator[tuple[api.Context, TestClient]]:
    """A server with room for one picture and for 4,000 bytes of uploads."""
    settings = replace(context.settings, workers=1, queue_limit=0, max_buffered=4000)
    narrow = api.Context(settings, context.state, context.metrics, context.pool)
    with TestClient(api.application(narrow)) as client:
        yield narrow, client


def test_more_than_fits_is_refused_at_once(tight: tuple[api.Context, TestClient]) -> None:
    context, client = tight
    with context.pictures.holding(1):
        answer = client.post("/predict", files={"file": JPEG})
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "1"
        assert answer.json() == {"error": "the server is busy; try again"}
        assert client.get("/health").status_code == 200
    assert client.post("/predict", files={"file": JPEG}).status_code == 200
    answer = client.post("/predict", content=b"x" * 5000, headers=RAW)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert (context.pictures.used, context.memory.used) == (0, 0)


def test_a_failure_of_ours_is_a_500_in_json(
    context: api.Context, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert context.state.served is not None
    monkeypatch.setattr(context.state.served.predictor, "predict", lambda _: 1 / 0)
    with TestClient(api.application(context)) as client:
        answer = client.post("/predict", files={"file": JPEG}, headers={"X-Request-Id": "mine"})
        several = client.post("/predict", files=[("file", JPEG)] * 3)
    assert answer.status_code == 500
    assert answer.json() == {"error": "the server failed with ZeroDivisionError; its log says more"}
    assert answer.headers["X-Request-Id"] == "mine"
    assert (several.status_code, several.json()) == (500, answer.json())
    assert "request mine failed" in caplog.messages
    assert context.pictures.used == 0


def test_request_ids(client: TestClient) -> None:
    assert client.get("/live", headers={"X-Request-Id": "a-b.c_1"}).headers["X-Request-Id"] == "a-b.c_1"
    for bad in ("x" * 65, "a b", '"', ""):
        given = client.get("/live", headers={"X-Request-Id": bad}).headers["X-Request-Id"]
        assert re.fullmatch(r"[0-9a-f]{32}", given)


def test_draining_is_said_and_closes_connections(client: TestClient, context: api.Context) -> None:
    context.state.draining = True
    answer = client.get("/health")
    assert answer.status_code == 503
    assert answer.json() == {
        "status": "draining",
        "model_loaded": False,
        "reason": "the server is shutting down",
    }
    accepted = client.post("/predict", files={"file": JPEG})
    assert (accepted.status_code, accepted.headers["Connection"]) == (200, "close")


def test_metrics(client: TestClient, context: api.Context) -> None:
    label = client.post("/predict", files={"file": JPEG}).json()["label"]
    client.post("/predict", files={"file": b"text"})
    client.get("/some/path/of/a/stranger")
    client.get("/predict")
    client.get("/v2/models/cats-dogs")
    lines = client.get("/metrics").text.splitlines()
    route = (
        "http_server_request_duration_seconds_count"
        '{error_type="",http_request_method="%s",http_response_status_code="%d",http_route="%s",url_scheme="http"} 1.0'
    )
    sha256 = context.settings.model_sha256
    for line in (
        route % ("POST", 200, "/predict"),
        route % ("POST", 400, "/predict"),
        route % ("GET", 404, "other"),
        route % ("GET", 405, "/predict"),
        route % ("GET", 200, "/v2/models/{name}"),
        f'catsdogs_predictions_total{{label="{label}"}} 1.0',
        "catsdogs_prediction_confidence_count 1.0",
        "catsdogs_decode_seconds_count 1.0",
        "catsdogs_forward_seconds_count 1.0",
        "catsdogs_queue_depth 0.0",
        'catsdogs_refused_total{reason="picture"} 1.0',
        "catsdogs_model_loaded 1.0",
        f'model_info{{architecture="SimpleCNN",sha256="{sha256}",training_run="cats-dogs/demo",'
        'version="abc123def456"} 1.0',
    ):
        assert line in lines


def access_lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """The access log as it is printed, without time and latency, which differ from run to run."""
    formatter = logs.JsonFormatter()
    records = [record for record in caplog.records if record.name == "catsdogs.access"]
    lines = [json.loads(formatter.format(record)) for record in records]
    for line in lines:
        assert re.fullmatch(r"\d+\.\d{6}s", line["httpRequest"].pop("latency"))
        line.pop("time")
    return lines


def test_nothing_of_a_picture_is_logged(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    client.post("/predict?who=me", files={"file": ("private-name.jpg", JPEG)}, headers={"X-Request-Id": "r1"})
    assert access_lines(caplog) == [
        {
            "severity": "INFO",
            "logger": "catsdogs.access",
            "message": "POST /predict 200",
            "httpRequest": {"requestMethod": "POST", "requestUrl": "/predict", "status": 200},
            "request_id": "r1",
        }
    ]
    ours = [message for r, message in zip(caplog.records, caplog.messages, strict=True) if "catsdogs" in r.name]
    assert not any(word in message for message in ours for word in ("private-name", "who"))


TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("headers", "project", "expected"),
    [
        ({"traceparent": f"00-{TRACE}-{SPAN}-01"}, "p", (f"projects/p/traces/{TRACE}", SPAN, True)),
        ({"traceparent": f"00-{TRACE}-{SPAN}-00"}, "", (TRACE, SPAN, False)),
        ({"X-Cloud-Trace-Context": f"{TRACE}/67667974448284343;o=1"}, "p", (f"projects/p/traces/{TRACE}", SPAN, True)),
        ({"X-Cloud-Trace-Context": TRACE}, "p", (f"projects/p/traces/{TRACE}", "0" * 16, False)),
        ({"traceparent": f"00-{'0' * 32}-{SPAN}-01"}, "p", None),
        ({"traceparent": 'x"y', "X-Cloud-Trace-Context": "\n"}, "p", None),
    ],
)
def test_a_log_line_belongs_to_the_clients_trace(
    context: api.Context,
    caplog: pytest.LogCaptureFixture,
    headers: dict[str, str],
    project: str,
    expected: tuple[str, str, bool] | None,
) -> None:
    caplog.set_level("INFO")
    settings = replace(context.settings, project=project)
    traced = api.Context(settings, context.state, context.metrics, context.pool)
    with TestClient(api.application(traced)) as client:
        client.get("/live", headers=headers)
    (line,) = access_lines(caplog)
    names = [f"logging.googleapis.com/{name}" for name in ("trace", "spanId", "trace_sampled")]
    assert (tuple(line[name] for name in names if name in line) or None) == expected


def test_the_severity_of_an_answer(
    context: api.Context, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    with TestClient(api.application(context)) as client:
        client.post("/predict", files={"file": b"text"})
        monkeypatch.setattr(context.state.served.predictor, "predict", lambda _: 1 / 0)  # type: ignore[union-attr]
        client.post("/predict", files={"file": JPEG})
        context.state.served = None
        client.post("/predict", files={"file": JPEG})
    found = [(line["httpRequest"]["status"], line["severity"]) for line in access_lines(caplog)]
    assert found == [(400, "INFO"), (500, "ERROR"), (503, "WARNING")]


def test_the_pages_refer_to_no_other_host(client: TestClient) -> None:
    for path in ("/", "/docs"):
        answer = client.get(path)
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; ")
        assert "unsafe" not in policy
        references = re.findall(r'(?:src|href|action)\s*=\s*"([^"]*)"', answer.text)
        assert all(reference.startswith(("/", "#", "data:")) for reference in references), references
        assert "@import" not in answer.text
        assert " style=" not in answer.text, "the policy does not allow style attributes"
        assert not re.search(r"\son\w+=", answer.text), "nor handlers in attributes"


def test_openapi_describes_what_there_is(client: TestClient, context: api.Context) -> None:
    document = client.get("/openapi.json").json()
    assert document == DOCUMENT
    observed = api.application(context)
    assert isinstance(observed, api.Observed)
    assert set(document["paths"]) == set(observed.routes.values())
    health = document["components"]["schemas"]["Healthy"]["properties"]
    assert set(client.get("/health").json()) == set(health)
    model = document["components"]["schemas"]["Model"]["properties"]
    assert set(client.get("/model").json()) == set(model)
    for name in re.findall(r"#/components/schemas/(\w+)", client.get("/openapi.json").text):
        assert name in document["components"]["schemas"]
    for name in re.findall(r"#/components/headers/([\w-]+)", client.get("/openapi.json").text):
        assert name in document["components"]["headers"]
    names = [body["operationId"] for path in document["paths"].values() for body in path.values()]
    assert len(names) == len(set(names))
    shown = client.get("/docs").text
    assert all(path in shown for path in document["paths"])
