"""An image is built and pushed once, by docker here (a stand-in that records its commands), to a registry over HTTP."""

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from devcluster import docker, images, paths
from devcluster.errors import DevclusterError
from devcluster.images import Target
from devcluster.progress import Reporter

DIGEST = "sha256:" + "a" * 64
SCRIPT = """#!/bin/sh
echo "$DOCKER_BUILDKIT docker $*" >>"$(dirname "$0")/said"
case $1 in
    build)
        echo '#8 [2/3] COPY lock /locks/'
        if [ -f "$(dirname "$0")/broken" ]; then echo 'ERROR: exit code: 1'; exit 1; fi ;;
    push) echo "tag: digest: DIGEST size: 528" ;;
esac
"""


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """docker on the PATH; the file where it writes what it is told."""
    (tmp_path / "docker").write_text(SCRIPT.replace("DIGEST", DIGEST))
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "said"


@pytest.fixture
def registry() -> Iterator[tuple[str, dict[str, int]]]:
    """A registry's host, and what it answers: a status for each path, 404 for others."""
    answers: dict[str, int] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(answers.get(self.path, 404))
            self.send_header("Docker-Content-Digest", DIGEST)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"localhost:{server.server_port}", answers
        server.shutdown()


def test_an_image_that_the_registry_lacks_is_built_and_pushed(said: Path, registry) -> None:
    host, _ = registry
    tag = f"{host}/cats-dogs/operator:{images.content_hash('operator', docker)}"

    built = images.build(["operator"], Reporter(), Target(f"{host}/cats-dogs", docker))

    assert built == {"operator": f"{host}/cats-dogs/operator@{DIGEST}"}
    assert said.read_text().splitlines() == [
        f"1 docker build --progress=plain --file={paths.CHECKOUT}/Dockerfile.operator --tag={tag} {paths.CHECKOUT}",
        f" docker push {tag}",
    ]


def test_an_image_that_it_has_is_left_alone(said: Path, registry) -> None:
    host, answers = registry
    answers[f"/v2/cats-dogs/operator/manifests/{images.content_hash('operator', docker)}"] = 200

    built = images.build(["operator"], Reporter(), Target(f"{host}/cats-dogs", docker))

    assert built == {"operator": f"{host}/cats-dogs/operator@{DIGEST}"}
    assert not said.exists()


def test_a_build_that_fails_names_image_step_and_log(said: Path, registry) -> None:
    (said.parent / "broken").touch()
    log = paths.cache() / "logs" / "image-operator.log"

    with pytest.raises(DevclusterError) as failed:
        images.build(["operator"], Reporter(), Target(f"{registry[0]}/cats-dogs", docker))

    line = f"image operator: COPY lock /locks/ failed: ERROR: exit code: 1 (all of it: {log})"
    assert str(failed.value) == line
    assert log.read_text() == "#8 [2/3] COPY lock /locks/\nERROR: exit code: 1\n"


def test_a_registry_that_fails_or_is_not_there_says_so(registry) -> None:
    host, answers = registry
    answers["/v2/cats-dogs/x/manifests/1"] = 500
    with pytest.raises(DevclusterError, match=f"the image registry answers 500 for {host}/cats-dogs/x:1"):
        images.published(f"{host}/cats-dogs/x:1")
    with pytest.raises(DevclusterError, match=r"registry at localhost:1 does not answer .*: start the cluster"):
        images.published("localhost:1/cats-dogs/x:1")


def test_an_image_of_dockers_own_store_is_pushed_under_the_registrys_name(said: Path) -> None:
    assert images.load("mine/thing:v2", Target("localhost:5001/cats-dogs", docker)) == (
        f"localhost:5001/cats-dogs/thing@{DIGEST}"
    )
    assert said.read_text().splitlines() == [
        " docker tag mine/thing:v2 localhost:5001/cats-dogs/thing:v2",
        " docker push localhost:5001/cats-dogs/thing:v2",
    ]
