"""docker: whether an engine answers, and images built by its BuildKit.

It only knows how to call it; it starts no container.
"""

import re
import subprocess

from devcluster import commands
from devcluster.errors import DevclusterError

ANSWER_SECONDS = 2
STEP = re.compile(r"#\d+ \[(?:\S+ +)?(?P<number>\d+)/(?P<count>\d+)\] (?P<what>.*)")


def answers() -> bool:
    """Whether docker is here with a daemon that answers within 2 s; a client alone is not enough."""
    command = ["docker", "version", "--format={{.Server.Version}}"]
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=ANSWER_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def environment() -> dict[str, str]:
    """What a build needs beside this process's environment: BuildKit, on older engines too."""
    return {"DOCKER_BUILDKIT": "1"}


def build(*arguments: str) -> list[str]:
    """A `docker build` command."""
    return ["docker", "build", "--progress=plain", *arguments]


def push(tag: str, image: str) -> str:
    """Push `image` as `tag`; returns its digest."""
    if image != tag:
        commands.run("docker", "tag", image, tag)
    said = commands.run("docker", "push", tag)
    if not (digest := re.search(r"digest: (sha256:[0-9a-f]{64})", said)):
        raise DevclusterError(f"`docker push {tag}` says no digest: {said.strip()[-200:]}")
    return digest[1]
