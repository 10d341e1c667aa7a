"""The peers' own virtual environment, in the cache folder, from requirements.lock. It must not change the checkout's
environment; torch, numpy and Pillow, the same files for all sides, come from there by a .pth file."""

from __future__ import annotations

import hashlib
import os
import site
import subprocess
import sys
from pathlib import Path

LOCK = Path(__file__).with_name("requirements.lock")
UV = Path(sys.executable).with_name("uv")


def python() -> Path:
    """The environment's interpreter; made on first use, and anew when the lock has changed."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cats-dogs"
    folder = cache / f"bench-serving-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]}"
    ready = folder / ".ready"
    if not ready.exists():
        print("making the peers' environment …", file=sys.stderr)
        _uv("venv", "--clear", "--python", sys.executable, str(folder))
        _uv("pip", "sync", "--python", str(folder / "bin/python"), "--require-hashes", str(LOCK))
        ready.touch()
    # Each time: another checkout may have made the environment, and be gone.
    shared = folder / "lib" / f"python3.{sys.version_info[1]}" / "site-packages" / "zz-shared.pth"
    shared.write_text("".join(f"{place}\n" for place in site.getsitepackages()))
    return folder / "bin/python"


def _uv(*arguments: str) -> None:
    subprocess.run([str(UV), "--quiet", *arguments], check=True)


def main() -> None:
    """Write requirements.lock anew: versions and hashes, no host name."""
    options = "--python-version 3.11 --python-platform x86_64-manylinux_2_28 --generate-hashes --no-emit-index-url"
    more = "--no-emit-find-links --no-header --no-annotate"
    source = str(LOCK.with_suffix(".in"))
    subprocess.run(
        [str(UV), "--quiet", "pip", "compile", source, *options.split(), *more.split(), "-o", str(LOCK)],
        check=True,
        stdout=subprocess.DEVNULL,
    )


if __name__ == "__main__":
    main()
