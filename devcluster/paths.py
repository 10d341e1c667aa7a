"""Where things lie: the cache (kept between clusters) and the state of a cluster (removed by `down`).

It only names places, and writes a file where it is told.
"""

import os
from dataclasses import dataclass
from pathlib import Path

MODULES = Path(__file__).resolve().parent / "modules"
CHECKOUT = MODULES.parent.parent


def cache() -> Path:
    """The cache folder: `$XDG_CACHE_HOME/cats-dogs`, by default `~/.cache/cats-dogs`."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "cats-dogs"


@dataclass(frozen=True)
class State:
    """The folders of one cluster, all below `root`."""

    root: Path

    @property
    def pki(self) -> Path:
        return self.root / "pki"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """Pid files."""
        return self.root / "run"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.root / "kubeconfig"

    def kubeconfig_of(self, user: str) -> Path:
        """The kubeconfig of one part, e.g. `scheduler`."""
        return self.root / "pki" / f"{user}.kubeconfig"


def node_state() -> State:
    """The state of the one bare node that a machine can have."""
    return State(Path(os.environ.get("DEVCLUSTER_STATE") or "/var/lib/cats-dogs-devcluster"))


def kind_state() -> State:
    """The state of the cluster by kind: its kubeconfig and its load balancer, of the user that started it."""
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return State(Path(base) / "cats-dogs-kind")


def write(file: Path, text: str) -> Path:
    """Write a settings file unless it says so already: kube-proxy ends itself when its file is written."""
    if not file.exists() or file.read_text() != text:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return file
