"""The pure parts of the local cluster: addresses, image tags, ports, certificates."""

import socket
import subprocess
from pathlib import Path

import pytest
import yaml

from devcluster import buildah, control_plane, docker, images, loadbalancer, pki
from devcluster.errors import DevclusterError
from devcluster.paths import State

POOL = loadbalancer.pool("10.199.0.100", 100)


@pytest.mark.parametrize(
    ("taken", "wanted", "address"),
    [
        ([], None, "10.199.0.100"),
        (["10.199.0.100"], None, "10.199.0.101"),
        (["10.199.0.101"], None, "10.199.0.100"),
        ([], "10.199.0.150", "10.199.0.150"),
        (["10.199.0.150"], "10.199.0.150", None),
        ([], "192.0.2.1", None),
        (POOL, None, None),
    ],
)
def test_a_service_gets_the_lowest_free_address_or_the_one_it_asks_for(taken, wanted, address) -> None:
    assert loadbalancer.choose(POOL, taken, wanted) == address


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
    first = images.content_hash("thing", buildah, tmp_path)
    (tmp_path / "code" / "__pycache__").mkdir()
    (tmp_path / "code" / "__pycache__" / "main.pyc").write_text("noise")
    (tmp_path / "elsewhere").write_text("not part of it")
    assert images.content_hash("thing", buildah, tmp_path) == first
    (tmp_path / "code" / "main.py").write_text("two")
    assert images.content_hash("thing", buildah, tmp_path) != first


def test_an_image_on_another_base_has_another_tag() -> None:
    tags = {images.content_hash("operator", engine) for engine in (buildah, docker)}
    assert len(tags) == 2


def test_docker_builds_the_object_store_in_a_container_and_buildah_takes_the_cached_program() -> None:
    assert images.described("object-store", docker).context == "devcluster/modules/object-store"
    assert images.described("object-store", buildah).program == "fake-gcs-server"


@pytest.mark.parametrize(
    ("engine", "line", "found"),
    [
        (buildah, "STEP 3/9: COPY a b", ("3", "9", "COPY a b")),
        (buildah, "[1/2] STEP 3/9: COPY a b", ("3", "9", "COPY a b")),
        (docker, "#8 [3/9] COPY a b", ("3", "9", "COPY a b")),
        (docker, "#12 [build 2/4] WORKDIR /module", ("2", "4", "WORKDIR /module")),
        (docker, "#12 [stage-1 2/4] WORKDIR /module", ("2", "4", "WORKDIR /module")),
        (docker, "#1 [internal] load build definition from Dockerfile", None),
    ],
)
def test_how_far_a_build_is(engine, line: str, found) -> None:
    step = engine.STEP.match(line)
    assert (step and (step["number"], step["count"], step["what"])) == found


def test_an_image_whose_inputs_are_missing_says_so(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(images.IMAGES, "thing", images.Image("Dockerfile", ()))
    with pytest.raises(DevclusterError, match="Dockerfile is not there"):
        images.content_hash("thing", buildah, tmp_path)


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
