"""A Cloud Storage of a few lines for tests: lists, serves and takes objects, and fails on demand.

It speaks only what the operator asks; the real emulator runs in the cluster tests.
"""

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass
class Buckets:
    """Objects by bucket and name; `status` other than 0 is the answer to every request, `absent` of no such object."""

    url: str = ""
    objects: dict[str, dict[str, bytes]] = field(default_factory=dict)
    status: int = 0
    absent: int = 404
    listings: int = 0
    page: int = 2

    def answer(self, target: str) -> tuple[int, bytes]:
        """Status and body for GET `target`."""
        if self.status:
            return self.status, json.dumps({"error": {"message": "as told"}}).encode()
        parts = urlsplit(target)
        bucket, _, rest = parts.path.partition("/storage/v1/b/")[2].partition("/")
        if bucket not in self.objects:
            return 404, json.dumps({"error": {"message": "The specified bucket does not exist."}}).encode()
        if rest == "o":
            return 200, self._list(self.objects[bucket], parse_qs(parts.query))
        name = unquote(rest.removeprefix("o/"))
        if name not in self.objects[bucket]:
            return self.absent, f"No such object: {bucket}/{name}".encode()
        return 200, self.objects[bucket][name]

    def take(self, target: str, content: bytes) -> tuple[int, bytes]:
        """Status and body for POST `target`: an object is made where its name is free."""
        if self.status:
            return self.status, json.dumps({"error": {"message": "as told"}}).encode()
        parts = urlsplit(target)
        bucket = parts.path.removeprefix("/upload/storage/v1/b/").removesuffix("/o")
        query = parse_qs(parts.query)
        assert query["ifGenerationMatch"] == ["0"], "the operator never writes over an object"
        [name] = query["name"]
        if name in self.objects[bucket]:
            return 412, b"{}"
        self.objects[bucket][name] = content
        return 200, b"{}"

    def _list(self, objects: dict[str, bytes], query: dict[str, list[str]]) -> bytes:
        self.listings += 1
        names = sorted(name for name in objects if name.startswith(query.get("prefix", [""])[0]))
        start = int(query.get("pageToken", ["0"])[0])
        items = [
            {"name": name, "size": str(len(objects[name])), "crc32c": checksum(objects[name])}
            for name in names[start : start + self.page]
        ]
        more = {"nextPageToken": str(start + self.page)} if start + self.page < len(names) else {}
        return json.dumps({"items": items, **more}).encode()


def checksum(data: bytes) -> str:
    """Something that changes with the data and looks like a CRC32C."""
    return base64.b64encode(hashlib.sha256(data).digest()[:4]).decode()


@contextmanager
def bucket_server() -> Iterator[Buckets]:
    """A server on a free port of the loopback address, stopped at the end."""
    buckets = Buckets()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.reply(*buckets.answer(self.path))

        def do_POST(self) -> None:
            self.reply(*buckets.take(self.path, self.rfile.read(int(self.headers["Content-Length"]))))

        def reply(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    buckets.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield buckets
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
