"""The pure parts of the local cluster: addresses, image tags, ports, certificates."""

import socket
import subprocess
from pathlib import Path

import pytest
import yaml

from devcluster import control_plane, images, loadbalancer, pki
from devcluster.errors import DevclusterError
from devcluster.paths import State


@pytest.mark.parametrize(
    ("taken", "wanted", "address"),
    [
        ([], None, "10.199.0.100"),
        (["10.199.0.100"], None, "10.199.0.101"),
        (["10.199.0.101"], None, "10.199.0.100"),
        ([], "10.199.0.150", "10.199.0.150"),
        (["10.199.0.150"], "10.199.0.150", None),
        ([], "192.0.2.1", None),
        (loadbalancer.POOL, None, None),
    ],
)
def test_a_service_gets_the_lowest_free_address_or_the_one_it_asks_for(taken, wanted, address) -> None:
    assert loadbalancer.choose(taken, wanted) == address


def test_a_port_in_use_is_one_line_that_names_port_and_program() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(DevclusterError, match=rf"127.0.0.1:{port} is in use and etcd needs it .*ss -ltnp"):
            control_plane.check_port("etcd", ("127.0.0.1", port))
    control_plane.check_port("etcd", ("127.0.0.1", port))


def test_an_image_is_tagged_by_what_goes_into_it(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(images.IMAGES, "thing", images.Image("Dockerfile", ("lock", "code")))
    (tmp_path / "Dockerfile").write_text("FROM scratch")
    (tmp_path / "lock").write_text("a==1")
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "main.py").write_text("one")
    first = images.content_hash("thing", tmp_path)
    (tmp_path / "code" / "__pycache__").mkdir()
    (tmp_path / "code" / "__pycache__" / "main.pyc").write_text("noise")
    (tmp_path / "elsewhere").write_text("not part of it")
    assert images.content_hash("thing", tmp_path) == first
    (tmp_path / "code" / "main.py").write_text("two")
    assert images.content_hash("thing", tmp_path) != first


def test_an_image_whose_inputs_are_missing_says_so(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(images.IMAGES, "thing", images.Image("Dockerfile", ()))
    with pytest.raises(DevclusterError, match="Dockerfile is not there"):
        images.content_hash("thing", tmp_path)


def test_certificates_verify_against_the_authority_and_keys_are_private(tmp_path: Path) -> None:
    state = State(tmp_path)
    pki.make(state, "node", ["127.0.0.1"], "https://127.0.0.1:1", "here")
    for name in ("apiserver", "kubelet", "admin"):
        subprocess.run(["openssl", "verify", "-CAfile", state.pki / "ca.crt", state.pki / f"{name}.crt"], check=True)
        assert (state.pki / f"{name}.key").stat().st_mode & 0o077 == 0
    config = yaml.safe_load(state.kubeconfig.read_text())
    assert config["current-context"] == "here"
    assert config["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:1"


def test_an_existing_authority_is_kept(tmp_path: Path) -> None:
    state = State(tmp_path)
    pki.make(state, "node", [], "https://127.0.0.1:1", "here")
    first = (state.pki / "ca.crt").read_bytes()
    pki.make(state, "node", [], "https://127.0.0.1:1", "here")
    assert (state.pki / "ca.crt").read_bytes() == first
