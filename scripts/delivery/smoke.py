"""Asks the delivered server as a client would: `smoke.py URL SHA256`. /health must be 2xx and one drawn RGB picture be
answered by /predict, both with the trained digest. API_KEY is sent where the server wants a key.

It must not judge the answer itself: the gate has done that on photographs whose class is known.
"""

import json
import os
import struct
import sys
import time
import urllib.error
import urllib.request
import zlib
from typing import Any

from actions import DeliveryError, run

PATIENCE = float(os.environ.get("PATIENCE") or 180)  # seconds until a new load balancer must answer
SIDE = 224


def png(side: int) -> bytes:
    """An RGB picture of colour gradients, `side` pixels each way, as PNG of 8 bits a channel (its specification, 5)."""
    rows = b"".join(
        b"\0" + bytes(value for x in range(side) for value in (x * 255 // side, y * 255 // side, (x ^ y) & 255))
        for y in range(side)
    )
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def chunk(kind: bytes, content: bytes) -> bytes:
    """Length, kind, content and checksum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def ask(url: str, picture: bytes | None = None) -> dict[str, Any]:
    """The JSON answer to GET, or to POST of a picture. Raises OSError or ValueError, HTTPError included."""
    headers = {"Content-Type": "image/png"} if picture else {}
    if key := os.environ.get("API_KEY"):
        headers["X-API-Key"] = key
    with urllib.request.urlopen(urllib.request.Request(url, picture, headers), timeout=15) as answer:  # noqa: S310
        found: dict[str, Any] = json.load(answer)
    return found


def patiently(url: str, picture: bytes | None = None) -> dict[str, Any]:
    """`ask`, tried again while the load balancer is being set up. Raises DeliveryError with the last answer."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return ask(url, picture)
        except urllib.error.HTTPError as refused:
            said = refused.read(300).decode(errors="replace")
            if refused.code == 401:
                raise DeliveryError(
                    "API key missing", f"{url} wants an API key: set the secret API_KEY of the environment production"
                ) from None
            trouble = f"answered {refused.code}: {said}"
            if refused.code < 500:
                raise DeliveryError("Smoke test failed", f"{url} {trouble}") from None
        except (OSError, ValueError) as problem:
            trouble = f"did not answer ({problem}); an internal address can't be reached from GitHub's runners"
        if time.monotonic() > end:
            raise DeliveryError("Smoke test failed", f"{url} {trouble}")
        time.sleep(2)


def smoke() -> None:
    """Ask /health, then /predict."""
    url, sha256 = sys.argv[1].rstrip("/"), sys.argv[2]
    health = patiently(f"{url}/health")
    answer = patiently(f"{url}/predict", png(SIDE))
    digests = {"/health": health.get("sha256"), "/predict": answer.get("model", {}).get("sha256")}
    for path, digest in digests.items():
        if digest != sha256:
            raise DeliveryError(
                "Other model", f"{url}{path} answers with model {str(digest)[:12]}, and {sha256[:12]} was trained"
            )
    if answer.get("label") not in ("cat", "dog") or not 0 <= answer.get("confidence", -1) <= 1:
        raise DeliveryError(
            "Smoke test failed", f"{url}/predict gives no label with a confidence: {json.dumps(answer)[:300]}"
        )
    print(f"{url}/predict answers {answer['label']} ({answer['confidence']:.1%}) with model {sha256[:12]}")


if __name__ == "__main__":
    run(smoke)
