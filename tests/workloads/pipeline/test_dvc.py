"""DVC as the stages and the commands use it: what its words mean, and the settings that a checkout comes with."""

from __future__ import annotations

from pathlib import Path

import pytest

from catsdogs.errors import Exit
from catsdogs.pipeline import dvc

CHECKOUT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("failed to reproduce 'ingest': failed to run: python -m x, exited with 74", Exit.DISK_FULL),
        ("failed to reproduce 'train': failed to run: python -m x, exited with 78", Exit.CONFIG_ERROR),
        ("failed to reproduce 'train': failed to run: python -m x, exited with -9", Exit.CRASH),
        ("failed to reproduce 'train': failed to run: python -m x, exited with 3", Exit.CRASH),
        ("unexpected error - [Errno 28] No space left on device: '/work/repo/.dvc/cache'", Exit.DISK_FULL),
        ("failed to pull data (failed to transfer 'ab' - Forbidden: http://x/o no access)", Exit.PERMISSION_DENIED),
        ("unexpected error - Cannot connect to host storage.googleapis.com:443", Exit.UNAVAILABLE),
        ("unexpected error - something new", Exit.CRASH),
        ("", Exit.CRASH),
    ],
)
def test_a_failure_tells_whether_a_retry_can_help(error: str, code: Exit) -> None:
    found = dvc.failure(error, "DVC ended stage ingest with code 255")

    assert (found.code, found.message.startswith("DVC ended stage ingest with code 255")) == (code, True)


def test_the_checkout_has_the_settings_of_a_workspace() -> None:
    assert (CHECKOUT / ".dvc/config").read_text() == dvc.CONFIG


def test_another_workspaces_results_are_shared_and_its_cache_stays_its_own(tmp_path: Path) -> None:
    source, folder = tmp_path / "one", tmp_path / "two"
    cached = Path(".dvc/cache/files/md5/ab/c")
    (source / cached).parent.mkdir(parents=True)
    (source / cached).write_text("data")
    (source / "dvc.lock").write_text("lock")

    dvc.adopt(folder, source)
    dvc.adopt(folder, source)  # again changes nothing

    assert ((folder / cached).read_text(), (folder / "dvc.lock").read_text()) == ("data", "lock")
    assert (folder / cached).stat().st_ino == (source / cached).stat().st_ino
    (folder / cached).unlink()
    assert (source / cached).read_text() == "data"
