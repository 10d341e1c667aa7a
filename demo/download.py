"""Fetches one large file over HTTP, going on where it broke off, and trusts it only by its SHA-256.

It must not know what the file is for, and must never leave an unverified file under the final name.
"""

import fcntl
import hashlib
import http.client
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

CONNECT_SECONDS = 5.0
ATTEMPTS_WITHOUT_PROGRESS = 3
CHUNK = 1 << 18

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Source:
    """Where a file is, how many bytes it has, and its SHA-256 in hex."""

    url: str
    size: int
    sha256: str


class DownloadError(Exception):
    """The file can't be had now; the message says why, in one line."""


def fetch(source: Source, target: Path, progress: Progress = lambda _bytes: None) -> Path:
    """Return `target` with the source's bytes, downloading what is missing of it.

    A partial download stays beside it as `NAME.part` for the next time; bytes with a wrong checksum are
    deleted. `progress` is told the bytes that are there. Raises DownloadError.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with _locked(target.with_name(target.name + ".lock")):
        if target.exists() and target.stat().st_size == source.size:
            return target
        part = target.with_name(target.name + ".part")
        _complete(source, part, progress)
        found = sha256_of(part)
        if found != source.sha256:
            part.unlink()
            raise DownloadError(
                f"{source.url} has SHA-256 {found[:12]}…, not the expected {source.sha256[:12]}…; deleted it"
            )
        part.replace(target)
    return target


def sha256_of(path: Path) -> str:
    """The file's SHA-256 in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _complete(source: Source, part: Path, progress: Progress) -> None:
    """Append to `part` until it has the source's size."""
    fruitless, reason = 0, "broke off"
    while (have := part.stat().st_size if part.exists() else 0) != source.size:
        if have > source.size:
            part.unlink()
            continue
        if fruitless == ATTEMPTS_WITHOUT_PROGRESS:
            raise DownloadError(f"{source.url}: {reason}; {have:,} bytes are kept for the next time")
        try:
            _append(source, part, have, progress)
        except urllib.error.HTTPError as error:
            raise DownloadError(f"{source.url} answered {error.code} {error.reason}") from error
        except (OSError, http.client.HTTPException) as error:
            if have == 0 and not part.exists():
                raise DownloadError(f"{source.url} can't be reached ({_why(error)})") from error
            reason = f"broke off ({_why(error)})"
        now = part.stat().st_size if part.exists() else 0
        fruitless = 0 if now > have else fruitless + 1


def _append(source: Source, part: Path, have: int, progress: Progress) -> None:
    request = urllib.request.Request(source.url, headers={"Range": f"bytes={have}-"} if have else {})  # noqa: S310
    with urllib.request.urlopen(request, timeout=CONNECT_SECONDS) as response:  # noqa: S310
        goes_on = have > 0 and response.status == http.HTTPStatus.PARTIAL_CONTENT
        total = _total(response, goes_on)
        if total not in (None, source.size):
            raise DownloadError(f"{source.url} has {total:,} bytes, not the expected {source.size:,}")
        with part.open("ab" if goes_on else "wb") as file:
            _copy(response, file, have if goes_on else 0, source.size, progress)


def _total(response: http.client.HTTPResponse, goes_on: bool) -> int | None:
    """The whole file's size as the server states it, or None."""
    if goes_on:
        match = re.search(r"/(\d+)$", response.headers.get("Content-Range", ""))
        return int(match[1]) if match else None
    length = response.headers.get("Content-Length")
    return int(length) if length else None


def _copy(response: http.client.HTTPResponse, file: BinaryIO, have: int, size: int, progress: Progress) -> None:
    """Copy until the source ends or one byte more than `size` has come: enough to see that it is too long."""
    while have <= size and (chunk := response.read1(min(CHUNK, size - have + 1))):
        file.write(chunk)
        have += len(chunk)
        progress(have)
    if have > size:
        file.flush()
        raise DownloadError(f"the server sent more than the expected {size:,} bytes")


def _why(error: BaseException) -> str:
    reason = getattr(error, "reason", error)
    return str(reason).splitlines()[0] if str(reason) else type(error).__name__


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Only one process at a time downloads to the same place; a second waits and finds the file there."""
    handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
