"""The container runtime: containerd with runc, its network plugins and the sandbox image.

It starts containerd and nothing else, and pulls no image.
"""

import io
import json
import subprocess
import tarfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from devcluster import host, paths, processes
from devcluster.errors import DevclusterError
from devcluster.paths import State

PAUSE_IMAGE = "localhost:5000/pause:devcluster"


def run_folder(state: State) -> Path:
    """Where containerd keeps its sockets and mounts: short-lived, below `/run`."""
    return Path("/run") / state.root.name


def socket_of(state: State) -> Path:
    """containerd's socket."""
    return run_folder(state) / "containerd.sock"


def up(state: State, programs: Mapping[str, Path], registry_port: int) -> None:
    """Start containerd and give it the sandbox image; pulls from `localhost:PORT` go over plain HTTP."""
    _start(state, programs, registry_port)
    _import_pause(state, programs)


def _start(state: State, programs: Mapping[str, Path], registry_port: int) -> None:
    paths.write(
        state.root / "certs.d" / f"localhost:{registry_port}" / "hosts.toml",
        f'server = "http://localhost:{registry_port}"\n',
    )
    paths.write(state.root / "cni" / "10-pods.conflist", json.dumps(_network()))
    config = paths.write(state.root / "containerd.toml", _containerd_config(state))
    shims = programs["containerd-shim-runc-v2"].parent
    path = f"{shims}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    processes.start(state, "containerd", [programs["containerd"], "--config", config], {"PATH": path})
    ctr = [str(programs["ctr"]), "--address", str(socket_of(state)), "version"]
    processes.wait(
        state, "containerd", lambda: subprocess.run(ctr, capture_output=True, check=False).returncode == 0, 30
    )


def _containerd_config(state: State) -> str:
    run = run_folder(state)
    return f"""version = 3
root = "{state.root}/containerd"
state = "{run}/containerd"
[grpc]
address = "{socket_of(state)}"
[plugins."io.containerd.cri.v1.runtime"]
# Without CAP_SYS_RESOURCE, as in many sandboxes, root can't lower a process's oom_score_adj.
restrict_oom_score_adj = true
[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["{host.CNI_PLUGINS}"]
conf_dir = "{state.root}/cni"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
SystemdCgroup = false
[plugins."io.containerd.cri.v1.images"]
discard_unpacked_layers = true
snapshotter = "overlayfs"
[plugins."io.containerd.cri.v1.images".registry]
config_path = "{state.root}/certs.d"
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{PAUSE_IMAGE}"
"""


def _network() -> dict[str, object]:
    bridge = {
        "type": "bridge", "bridge": host.POD_BRIDGE, "isGateway": True, "ipMasq": True, "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": "10.200.0.0/24"}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }  # fmt: skip
    return {
        "cniVersion": "1.0.0",
        "name": "cats-dogs",
        "plugins": [bridge, {"type": "portmap", "capabilities": {"portMappings": True}}],
    }


def _import_pause(state: State, programs: Mapping[str, Path]) -> None:
    """Give containerd the sandbox image: one static program, so that no registry is needed for it."""
    archive = _docker_archive(PAUSE_IMAGE, programs["pause"])
    ctr = [str(programs["ctr"]), "--address", str(socket_of(state)), "-n", "k8s.io", "images", "import", "-"]
    done = subprocess.run(ctr, input=archive, capture_output=True, check=False)
    if done.returncode:
        raise DevclusterError(f"containerd does not take the pause image: {done.stderr.decode().strip()[-300:]}")


def _docker_archive(reference: str, program: Path) -> bytes:
    """A `docker save` archive of an image with one program, `/pause`, that runs as nobody."""
    layer = _tar({"pause": program.read_bytes()})
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Entrypoint": ["/pause"], "User": "65535:65535"},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{sha256(layer).hexdigest()}"]},
        }
    ).encode()
    manifest = [{"Config": "config.json", "RepoTags": [reference], "Layers": ["layer.tar"]}]
    return _tar({"config.json": config, "layer.tar": layer, "manifest.json": json.dumps(manifest).encode()})


def _tar(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
