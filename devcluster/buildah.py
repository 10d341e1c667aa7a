"""buildah on an image store of the project's own, below the cache.

It only knows how to call it.
"""

import os
from pathlib import Path

from devcluster import paths

RUN = Path("/run/cats-dogs-buildah")
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


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
    """The environment of buildah: its temporary files lie in the cache, not in a small /tmp."""
    folder = paths.cache() / "tmp"
    folder.mkdir(parents=True, exist_ok=True)
    return os.environ | {"TMPDIR": str(folder)}


def build(*arguments: str) -> list[str]:
    """A `buildah build` command that works in a sandbox without a container engine."""
    # On a network that re-signs TLS, pip and uv in the build trust what this machine trusts.
    trust = [f"--volume={CERTIFICATES}:{CERTIFICATES}:ro"] if CERTIFICATES.exists() else []
    return command("bud", "--isolation=chroot", "--network=host", "--layers", "--format=oci", *trust, *arguments)
