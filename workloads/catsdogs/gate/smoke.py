"""Smoke requests to the candidate's own pod, as its clients would send them, before any client does.
It must not trust an answer: it reads a few kilobytes of it, and waits for all of them no longer than BUDGET."""

from __future__ import annotations

import http.client
import json
import math
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from catsdogs.errors import Exit, StageError, data_error
from catsdogs.gate.samples import Picture

BUDGET = 10.0  # seconds for all of it
PAUSE = 0.2
ANSWER_BYTES = 64 * 2**10
GOLDEN_RIGHT = 0.8
TOLERANCE = 0.01  # between the pod's probability and that of the model as the judge has loaded it

Expected = Callable[[bytes], dict[str, float]]


class Failed(Exception):  # noqa: N818 - an answer that is wrong; nothing went wrong in the program
    """What the candidate's pod did wrong, in one line."""


def ask(url: str, sha256: str, pictures: Sequence[Picture], expected: Expected, limit: float) -> tuple[float, str]:
    """The 95th percentile of the answers' milliseconds, and one line on what was wrong ("" when nothing was).

    `expected` gives the probabilities that the judged model has for a picture; `limit` is the largest percentile in
    milliseconds, 0 for none. Raises StageError 75 when nobody answers at `url` at all, which says nothing of the
    model, and 65 for a golden picture that is none.
    """
    answers = [_expected(picture, expected) for picture in pictures]
    client, millis = _Client(url), list[float]()
    try:
        client.wait_until_healthy(sha256)
        wrong = []
        for picture, answer in zip(pictures, answers, strict=True):
            label, took = client.predict(picture, sha256, answer)
            millis.append(took)
            wrong += [f"{picture.name} ({label})"] if picture.label not in ("", label) else []
        _check_golden(wrong, sum(picture.label != "" for picture in pictures))
        _check_latency(millis, limit)
    except Failed as failure:
        return percentile(millis), str(failure)
    finally:
        client.close()
    return percentile(millis), ""


def _expected(picture: Picture, expected: Expected) -> dict[str, float]:
    from catsdogs.images import BadImage

    try:
        return expected(picture.data)
    except BadImage as error:
        raise data_error(f"the golden picture {picture.name} can't be read: {error}", "replace it") from None


def percentile(values: Sequence[float], share: float = 0.95) -> float:
    """The nearest-rank percentile; 0 of nothing."""
    return sorted(values)[math.ceil(share * len(values)) - 1] if values else 0.0


def _check_golden(wrong: Sequence[str], count: int) -> None:
    if count and (count - len(wrong)) / count < GOLDEN_RIGHT:
        some = ", ".join(wrong[:3])
        raise Failed(f"{count - len(wrong)} of {count} golden pictures right, needed {GOLDEN_RIGHT:.0%}; wrong: {some}")


def _check_latency(millis: Sequence[float], limit: float) -> None:
    if limit and percentile(millis) > limit:
        raise Failed(
            f"the 95th percentile of {len(millis)} answers is {percentile(millis):.0f} ms, allowed are {limit:g}"
        )


class _Client:
    """One connection at a time to the pod; every wait ends when BUDGET is spent."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.url = url
        self.until = time.monotonic() + BUDGET
        self.connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80)

    def close(self) -> None:
        self.connection.close()

    def wait_until_healthy(self, sha256: str) -> None:
        """Until /health is 200 and names the digest."""
        failure: Failed | None = None
        silence = ""
        while time.monotonic() < self.until:
            try:
                status, body = self._request("GET", "/health")
            except (OSError, http.client.HTTPException) as error:
                silence = f"{self.url}/health: {error or type(error).__name__}"
            else:
                if status == 200:
                    return self._check_digest("/health", body.get("sha256"), sha256)
                failure = Failed(f"/health answers {status}: {_told(body.get('reason'))}")
                if body.get("status") == "failed":
                    raise failure
            time.sleep(PAUSE)
        if failure is not None:
            raise failure
        raise StageError(
            Exit.UNAVAILABLE,
            f"the candidate's pod did not answer within {BUDGET:.0f} s: {silence}"[:500],
            "look at the pod and at the network policy; it is tried again",
        )

    def predict(self, picture: Picture, sha256: str, expected: dict[str, float]) -> tuple[str, float]:
        """Label and milliseconds of one answer, which must be that of the judged model."""
        mark = uuid.uuid4().hex
        head = f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="picture"\r\n\r\n'
        form = head.encode() + picture.data + f"\r\n--{mark}--\r\n".encode()
        begin = time.perf_counter()
        try:
            status, body = self._request(
                "POST", "/predict", form, {"Content-Type": f"multipart/form-data; boundary={mark}"}
            )
        except (OSError, http.client.HTTPException) as error:
            raise Failed(f"{picture.name}: no answer to /predict: {error or type(error).__name__}"[:300]) from None
        took = (time.perf_counter() - begin) * 1000
        if status != 200:
            raise Failed(f"{picture.name}: /predict answers {status}: {_told(body.get('error'))}")
        model = body.get("model")
        self._check_digest("/predict", model.get("sha256") if isinstance(model, dict) else None, sha256)
        return _checked(picture.name, body, expected), took

    def _check_digest(self, path: str, found: Any, sha256: str) -> None:
        if found != sha256:
            raise Failed(f"{path} answers for model {_told(found)[:12]}, not {sha256[:12]}")

    def _request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Status and JSON object of one answer. Raises OSError or HTTPException when none comes in time."""
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"the smoke requests took more than {BUDGET:.0f} s")
        try:
            self.connection.timeout = left
            if self.connection.sock is not None:
                self.connection.sock.settimeout(left)
            self.connection.request(method, path, body, headers or {})
            answer = self.connection.getresponse()
            content = answer.read(ANSWER_BYTES)
        except (OSError, http.client.HTTPException):
            self.connection.close()
            raise
        if not answer.isclosed():
            self.connection.close()  # it goes on beyond what is read
        try:
            found = json.loads(content)
        except ValueError:
            found = {}
        return answer.status, found if isinstance(found, dict) else {}


def _checked(name: str, body: dict[str, Any], expected: dict[str, float]) -> str:
    """The label of an answer. Raises Failed when it is not an answer, or not that of the judged model."""
    label, confidence, shares = (body.get(part) for part in ("label", "confidence", "probabilities"))
    if not isinstance(shares, dict) or shares.keys() != expected.keys():
        raise Failed(f"{name}: /predict answers without a probability for each class")
    numbers = [confidence, *shares.values()]
    if not all(isinstance(number, int | float) and 0 <= number <= 1 for number in numbers):
        raise Failed(f"{name}: /predict answers with what is no probability: {json.dumps(numbers)[:100]}")
    if not isinstance(label, str) or shares.get(label) != confidence or confidence != max(shares.values()):
        raise Failed(f"{name}: /predict answers {_told(label)}, which is not its most probable class")
    apart = max(abs(shares[part] - share) for part, share in expected.items())
    if apart > TOLERANCE:
        raise Failed(f"{name}: the pod's probabilities differ by {apart:.3f} from those of the judged model")
    return str(label)


def _told(value: Any) -> str:
    """What a pod said, short and on one line."""
    return " ".join(str(value).split())[:200]
