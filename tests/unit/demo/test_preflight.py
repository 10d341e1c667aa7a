"""What the machine lacks is said in one line each, all at once."""

from dataclasses import replace

import pytest

from demo.preflight import GIB, Facts, gather, go_version, missing

ENOUGH = Facts(
    python=(3, 11),
    kind=False,
    kind_trouble="kind is not on the PATH",
    root=True,
    go=(1, 26),
    memory_bytes=8 * GIB,
    free_bytes={"/root/.cache/cats-dogs": 60 * GIB},
    taken_ports=(),
    programs_built=False,
    images_built=False,
)
BY_KIND = replace(ENOUGH, kind=True, kind_trouble="", root=False, go=None, free_bytes={"/var/lib/docker": 60 * GIB})

NO_GO = (
    "Go 1.26 or newer is needed to build the cluster's programs, none is on the PATH; "
    "install it from go.dev/dl, or have docker and kind (kind is not on the PATH)"
)
NO_GO_BUT_KIND = NO_GO.replace("have docker and kind (kind is not on the PATH)", "take kind with DEVCLUSTER=kind")
OLD_GO = NO_GO.replace("none is on the PATH;", "this is 1.22;")
NO_ROOT = (
    "root is needed: a node makes namespaces, mounts and routes; "
    "run `sudo make demo`, or have docker and kind (kind is not on the PATH)"
)
LITTLE_DISK = (
    "40 GiB of free disk are needed at /root/.cache/cats-dogs, there are 12; "
    "free some, or set XDG_CACHE_HOME to a larger disk"
)
LITTLE_DOCKER_DISK = (
    "40 GiB of free disk are needed at /var/lib/docker, there are 12; "
    "free some, or give docker a larger disk (data-root)"
)
NO_DOCKER = (
    "kind can't be used: no docker daemon answers within 2 s; mend that, or take the bare node with DEVCLUSTER=node"
)


@pytest.mark.parametrize(
    ("facts", "lines"),
    [
        (ENOUGH, []),
        (replace(ENOUGH, python=(3, 10)), ["Python 3.11 or newer is needed, this is 3.10"]),
        (replace(ENOUGH, root=False), [NO_ROOT]),
        (replace(ENOUGH, go=None), [NO_GO]),
        (replace(ENOUGH, go=(1, 22)), [OLD_GO]),
        (replace(ENOUGH, go=None, kind_trouble=""), [NO_GO_BUT_KIND]),
        (BY_KIND, []),
        (replace(BY_KIND, kind_trouble="no docker daemon answers within 2 s"), [NO_DOCKER]),
        (replace(BY_KIND, free_bytes={"/var/lib/docker": 12 * GIB}), [LITTLE_DOCKER_DISK]),
        (replace(BY_KIND, free_bytes={"/var/lib/docker": 12 * GIB}, images_built=True), []),
        (
            replace(BY_KIND, taken_ports=(5001,)),
            ["port 5001 in use; `ss -ltnp 'sport = :5001'` shows by what: stop it"],
        ),
        (replace(ENOUGH, go=None, programs_built=True), []),
        (
            replace(ENOUGH, memory_bytes=4 * GIB),
            ["6 GiB of memory are needed, this machine has 4.0"],
        ),
        (replace(ENOUGH, free_bytes={"/root/.cache/cats-dogs": 12 * GIB}), [LITTLE_DISK]),
        (replace(ENOUGH, free_bytes={"/root/.cache/cats-dogs": 12 * GIB}, images_built=True), []),
        (
            replace(ENOUGH, taken_ports=(5000,)),
            ["port 5000 in use; `ss -ltnp 'sport = :5000'` shows by what: stop it"],
        ),
        (
            replace(ENOUGH, taken_ports=(5000, 6443)),
            ["ports 5000, 6443 in use; `ss -ltnp 'sport = :5000'` shows by what: stop it"],
        ),
        (replace(ENOUGH, root=False, go=None), [NO_ROOT, NO_GO]),
    ],
)
def test_every_missing_thing_has_its_line(facts: Facts, lines: list[str]) -> None:
    assert missing(facts) == lines


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("go version go1.26.8 linux/amd64\n", (1, 26)),
        ("go version go1.9 linux/arm64\n", (1, 9)),
        ("", None),
        ("bash: go: command not found", None),
    ],
)
def test_the_version_of_go(text: str, version: tuple[int, int] | None) -> None:
    assert go_version(text) == version


def test_this_machine_can_be_looked_at() -> None:
    facts = gather()

    assert facts.python >= (3, 11)
    assert facts.memory_bytes > 0
    assert facts.free_bytes
    assert all(free > 0 for free in facts.free_bytes.values())
