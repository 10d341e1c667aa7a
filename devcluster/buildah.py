"""buildah on an image store of the project's own, below the cache: builds images without a container engine.

It only knows how to call it.
"""

import os
import re
from pathlib import Path

from devcluster import commands, paths

RUN = Path("/run/cats-dogs-buildah")
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
STEP = re.compile(r"(?:\[[\d/]+\] )?STEP (?P<number>\d+)/(?P<count>\d+): (?P<what>.*)")


def command(*arguments: str) -> list[str]:
    """A buildah command on the project's own image store, below the cache."""
    store = paths.cache() / "buildah"
    return [
        "buildah",
        f"--root={store}",
        f"--runroot={RUN}",
        "--storage-driver=overlay",
        *arguments,
    ]


def environment() -> dict[str, str]:
    """What buildah needs beside this process's environment: temporary files in the cache, not in a small /tmp."""
    folder = paths.cache() / "tmp"
    folder.mkdir(parents=True, exist_ok=True)
    return {"TMPDIR": str(folder)}


def build(*arguments: str) -> list[str]:
    """A `buildah build` command that works in a sandbox without a container engine."""
    # On a network that re-signs TLS, pip and uv in the build trust what this machine trusts.
    trust = [f"--volume={CERTIFICATES}:{CERTIFICATES}:ro"] if CERTIFICATES.exists() else []
    return command("bud", "--isolation=chroot", "--network=host", "--layers", "--format=oci", *trust, *arguments)


def push(tag: str, image: str) -> str:
    """Push `image` as `tag`; returns its digest."""
    digest = paths.cache() / "tmp" / f"digest-{os.getpid()}"
    # Compressing gigabytes costs minutes and saves nothing on one machine.
    local = ["--disable-compression", "--tls-verify=false"] if tag.startswith("localhost:") else []
    commands.run(
        *command("push", *local, f"--digestfile={digest}", image, f"docker://{tag}"),
        env=environment(),
    )
    return digest.read_text().strip()
