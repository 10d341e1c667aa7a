"""The base image: a minimal Debian 12 with Python, from Debian's own packages, so that no image registry is needed.

Where one is reachable, any image with Python 3.11 does as `BASE` of the Dockerfiles.
"""

import os
import shutil
import subprocess
from pathlib import Path

from devcluster import buildah, paths
from devcluster.errors import DevclusterError
from devcluster.progress import Reporter

VERSION = "bookworm-3"
NAME = f"localhost/cats-dogs/base:{VERSION}"
PACKAGES = "python3,python3-venv,ca-certificates,libgomp1"
DEBIAN = "http://deb.debian.org/debian"
UNUSED = (
    "var/cache/apt",
    "var/lib/apt/lists",
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "var/log",
)


def ensure(report: Reporter) -> str:
    """Make the base image unless it is there; returns its name."""
    command = buildah.command("inspect", "--type=image", NAME)
    if subprocess.run(command, capture_output=True, check=False).returncode == 0:
        return NAME
    with report.step("Base image: Debian 12 with Python") as step:
        folder = paths.cache() / "tmp" / "base"
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        _debootstrap(folder, lambda text: step.update(None, text))
        _import(folder)
        shutil.rmtree(folder)
    return NAME


def _debootstrap(folder: Path, tell: object) -> None:
    command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(folder), mirror()]
    last = ""
    with subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        for line in process.stdout:
            last = line.strip() or last
            if callable(tell):
                tell(last.removeprefix("I: ")[:60])
    if process.returncode:
        raise DevclusterError(f"debootstrap failed: {last} (see {folder}/debootstrap/debootstrap.log)")
    for unused in UNUSED:
        shutil.rmtree(folder / unused, ignore_errors=True)
    (folder / "etc/resolv.conf").unlink(missing_ok=True)
    (folder / "etc/apt/sources.list").unlink(missing_ok=True)


def mirror() -> str:
    """The Debian mirror that this machine itself uses."""
    command = [
        "apt-get",
        "indextargets",
        "--format",
        "$(REPO_URI) $(CODENAME) $(ORIGIN)",
        "Created-By: Packages",
    ]
    listed = subprocess.run(command, text=True, capture_output=True, check=False).stdout
    for line in listed.splitlines():
        address, codename, *origin = line.split(" ")
        if codename == "bookworm" and origin == ["Debian"]:
            return address
    return DEBIAN


def _import(folder: Path) -> None:
    dockerfile = folder.with_suffix(".Dockerfile")
    dockerfile.write_text("FROM scratch\nADD . /\nENV PYTHONUNBUFFERED=1 LANG=C.UTF-8\n")
    command = buildah.command("bud", "--isolation=chroot", f"--file={dockerfile}", f"--tag={NAME}", str(folder))
    done = subprocess.run(command, text=True, capture_output=True, check=False, env=os.environ | buildah.environment())
    if done.returncode:
        raise DevclusterError(f"the base image can't be made: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
