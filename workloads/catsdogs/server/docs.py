"""Renders an OpenAPI document as one HTML page that needs no script and no other file.
It must not know this API: all it shows comes from the document."""

from __future__ import annotations

import json
from html import escape
from importlib import resources
from typing import Any

EXAMPLE = """curl -F file=@cat.jpg http://HOST/predict
curl -F file=@cat.jpg -F file=@dog.jpg http://HOST/predict
curl -H 'Content-Type: image/jpeg' --data-binary @cat.jpg http://HOST/predict"""


def html(document: dict[str, Any]) -> str:
    """The page as text. Only the parts of OpenAPI that our document uses are shown."""
    info = document["info"]
    paths = document["paths"].items()
    operations = [_operation(method, path, body) for path, item in paths for method, body in item.items()]
    schemas = [_schema(name, body) for name, body in document["components"]["schemas"].items()]
    template = resources.files("catsdogs.server").joinpath("static/docs.html").read_text("utf-8")
    filled = {
        "{{title}}": escape(info["title"]),
        "{{description}}": escape(info["description"]),
        "{{example}}": escape(EXAMPLE),
        "{{operations}}": "\n".join(operations),
        "{{schemas}}": "\n".join(schemas),
    }
    for mark, text in filled.items():
        template = template.replace(mark, text)
    return template


def _operation(method: str, path: str, body: dict[str, Any]) -> str:
    takes = [*body.get("requestBody", {}).get("content", {})]
    takes += [f"{one['name']} ({one['in']})" for one in body.get("parameters", [])]
    rows = [
        f"<tr><td><code>{status}</code></td><td>{_prose(answer['description'])}{_headers(answer)}</td>"
        f"<td>{_types(answer)}</td></tr>"
        for status, answer in body["responses"].items()
    ]
    return (
        f'<section id="{escape(body["operationId"])}">'
        f'<h2><span class="method {method}">{method.upper()}</span> '
        f"<code>{escape(path)}</code></h2><p>{_prose(body['summary'])}</p>"
        + (f"<p>{_prose(body['description'])}</p>" if "description" in body else "")
        + (f"<p>Takes {', '.join(f'<code>{escape(one)}</code>' for one in takes)}</p>" if takes else "")
        + f"<table><thead><tr><th>Status</th><th>Meaning</th><th>Body</th></tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></section>"
    )


def _headers(answer: dict[str, Any]) -> str:
    """The headers that this answer has and not all have."""
    own = [name for name in answer.get("headers", {}) if not name.startswith("X-")]
    return "".join(f"; header <code>{escape(name)}</code>" for name in own)


def _types(answer: dict[str, Any]) -> str:
    shown = []
    for media_type, content in answer.get("content", {}).items():
        schema = content["schema"]
        names = [one["$ref"].rpartition("/")[2] for one in schema.get("anyOf", [schema]) if "$ref" in one]
        shown += [f'<a href="#schema-{escape(name)}">{escape(name)}</a>' for name in names] or [escape(media_type)]
    return "<br>".join(shown)


def _schema(name: str, body: dict[str, Any]) -> str:
    text = escape(json.dumps(body, indent=2))
    # The anchor lies inside, so that a link to it opens the details.
    anchor = f'<pre id="schema-{escape(name)}" tabindex="0">{text}</pre>'
    return f"<details><summary>{escape(name)}</summary>{anchor}</details>"


def _prose(text: str) -> str:
    """Escaped text, with `code` between backquotes."""
    pieces = escape(text).split("`")
    return "".join(f"<code>{piece}</code>" if number % 2 else piece for number, piece in enumerate(pieces))
