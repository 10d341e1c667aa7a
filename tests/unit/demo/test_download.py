"""A download goes on where it broke off and is believed only by its checksum, against a real HTTP server."""

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from demo.download import DownloadError, Source, fetch

CONTENT = bytes(range(256)) * 2000


@dataclass
class Site:
    """What the server does: how many bytes it sends before it hangs up, whether it knows ranges."""

    content: bytes = CONTENT
    breaks_after: list[int] = field(default_factory=list)
    ranges: bool = True
    status: int = 0
    asked: list[str | None] = field(default_factory=list)
    url: str = ""

    def source(self, content: bytes = CONTENT) -> Source:
        return Source(f"{self.url}/set.zip", len(content), hashlib.sha256(content).hexdigest())


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            site.asked.append(wanted)
            if site.status:
                self.send_error(site.status)
                return
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and site.ranges else 0
            body = site.content[start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(body)))
            if start:
                whole = len(site.content)
                self.send_header("Content-Range", f"bytes {start}-{whole - 1}/{whole}")
            self.end_headers()
            self.wfile.write(body[: site.breaks_after.pop(0)] if site.breaks_after else body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        site.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield site
        server.shutdown()
        thread.join()


def test_a_whole_download(site: Site, tmp_path: Path) -> None:
    heard: list[int] = []

    place = fetch(site.source(), tmp_path / "cache" / "set.zip", heard.append)

    assert place.read_bytes() == CONTENT
    assert heard == sorted(heard)
    assert heard[-1] == len(CONTENT)
    assert not (tmp_path / "cache" / "set.zip.part").exists()


def test_what_is_there_is_not_asked_for_again(site: Site, tmp_path: Path) -> None:
    fetch(site.source(), tmp_path / "set.zip")
    fetch(site.source(), tmp_path / "set.zip")

    assert site.asked == [None]


def test_a_broken_download_goes_on_where_it_broke(site: Site, tmp_path: Path) -> None:
    site.breaks_after = [100_000, 50_000]

    fetch(site.source(), tmp_path / "set.zip")

    assert (tmp_path / "set.zip").read_bytes() == CONTENT
    assert site.asked == [None, "bytes=100000-", "bytes=150000-"]


def test_the_next_run_goes_on_where_the_last_one_ended(site: Site, tmp_path: Path) -> None:
    (tmp_path / "set.zip.part").write_bytes(CONTENT[:1234])

    fetch(site.source(), tmp_path / "set.zip")

    assert (tmp_path / "set.zip").read_bytes() == CONTENT
    assert site.asked == ["bytes=1234-"]


def test_a_server_without_ranges_is_asked_for_all_of_it(site: Site, tmp_path: Path) -> None:
    site.ranges = False
    (tmp_path / "set.zip.part").write_bytes(b"x" * 1234)

    fetch(site.source(), tmp_path / "set.zip")

    assert (tmp_path / "set.zip").read_bytes() == CONTENT


def test_bytes_with_a_wrong_checksum_are_never_kept(site: Site, tmp_path: Path) -> None:
    site.content = b"?" + CONTENT[1:]

    with pytest.raises(DownloadError, match=r"has SHA-256 .* not the expected"):
        fetch(site.source(), tmp_path / "set.zip")

    assert not (tmp_path / "set.zip").exists()
    assert not (tmp_path / "set.zip.part").exists()


def test_a_corrupt_rest_does_not_poison_the_next_run(site: Site, tmp_path: Path) -> None:
    (tmp_path / "set.zip.part").write_bytes(b"?" * 1000)
    with pytest.raises(DownloadError, match=r"SHA-256"):
        fetch(site.source(), tmp_path / "set.zip")

    fetch(site.source(), tmp_path / "set.zip")

    assert (tmp_path / "set.zip").read_bytes() == CONTENT


def test_a_page_instead_of_the_file_is_refused_before_it_is_read(site: Site, tmp_path: Path) -> None:
    site.content = b"<html>log in to the network</html>"

    with pytest.raises(DownloadError, match=r"has 34 bytes, not the expected 512,000"):
        fetch(site.source(), tmp_path / "set.zip")

    assert not (tmp_path / "set.zip.part").exists()


def test_a_server_that_always_breaks_off_is_given_up_and_the_part_is_kept(site: Site, tmp_path: Path) -> None:
    site.breaks_after = [1000, 0, 0, 0, 0]

    with pytest.raises(DownloadError, match=r"broke off; 1,000 bytes are kept for the next time"):
        fetch(site.source(), tmp_path / "set.zip")

    assert (tmp_path / "set.zip.part").read_bytes() == CONTENT[:1000]


def test_a_refusal_says_its_status(site: Site, tmp_path: Path) -> None:
    site.status = 403

    with pytest.raises(DownloadError, match=r"set.zip answered 403 Forbidden"):
        fetch(site.source(), tmp_path / "set.zip")


def test_a_server_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    source = Source("http://127.0.0.1:9/set.zip", 10, "0" * 64)

    with pytest.raises(DownloadError, match=r"can't be reached .*refused"):
        fetch(source, tmp_path / "set.zip")
