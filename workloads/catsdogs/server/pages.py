"""The page `/`, the documentation and openapi.json, from this package's own files.
It must not refer to a file on another host: the Content-Security-Policy keeps a browser from fetching it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from importlib import resources

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from catsdogs.server import docs
from catsdogs.server.openapi import DOCUMENT


def routes() -> list[Route]:
    """GET /, /docs and /openapi.json, each built once at start."""
    page = _static("index.html").replace("{{style}}", _static("page.css")).replace("{{script}}", _static("page.js"))
    return [
        _fixed("/", page.encode(), "text/html; charset=utf-8", policy(page)),
        _fixed("/docs", docs.html(DOCUMENT).encode(), "text/html; charset=utf-8", policy(docs.html(DOCUMENT))),
        _fixed("/openapi.json", json.dumps(DOCUMENT).encode(), "application/json", "default-src 'none'"),
    ]


def _static(name: str) -> str:
    return resources.files("catsdogs.server").joinpath("static", name).read_text("utf-8")


def policy(page: str) -> str:
    """A Content-Security-Policy that allows exactly the inline script and style elements of `page`."""
    scripts = " ".join(_hashes(page, "script")) or "'none'"
    styles = " ".join(_hashes(page, "style")) or "'none'"
    return (
        f"default-src 'none'; script-src {scripts}; style-src {styles}; img-src 'self' blob: data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _hashes(page: str, element: str) -> list[str]:
    found = re.findall(rf"<{element}>(.*?)</{element}>", page, re.DOTALL)
    return [f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in found]


def _fixed(path: str, body: bytes, media_type: str, security: str) -> Route:
    headers = {
        "Content-Security-Policy": security,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }

    async def answer(_: Request) -> Response:
        return Response(body, media_type=media_type, headers=headers)

    return Route(path, answer)
