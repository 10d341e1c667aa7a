"""The connections of tests/contract/test_network_policies.py, tried: a real firewall lets each pass, or does not."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict

import pytest

from devcluster import host, programs
from devcluster.progress import Reporter
from tests.contract import test_network_policies as said

NEEDED = ("iptables", "ipset", "ip", "unshare")


@pytest.fixture(scope="module")
def own_network() -> list[str]:
    """The words that begin a command in a network of its own; fails where this user can't have one."""
    if any(shutil.which(name) is None for name in NEEDED):
        if os.geteuid() != 0:
            pytest.fail(f"install {', '.join(NEEDED)}: the network policies are tried by a real firewall")
        host.install_packages(Reporter())
    words = ["unshare", "--net", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"])]
    done = subprocess.run([*words, "true"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"no network of its own for this user: {done.stderr.strip()}"
    programs.ensure([*programs.CONTROL_PLANE, "kube-router"], Reporter())  # in there they could not be fetched
    return words


def split(pairs: list[tuple[str, str]]) -> list[tuple[str, str, int]]:
    return [(source, target.rpartition(":")[0], int(target.rpartition(":")[2])) for source, target in pairs]


def test_what_is_said_to_be_open_is_open_and_nothing_else(own_network: list[str]) -> None:
    opened, closed = split(said.connections(said.OPEN)), split(said.connections(said.CLOSED))
    question = {
        "places": {name: asdict(place) for name, place in said.PLACES.items()},
        "attempts": [*((*each, True) for each in opened), *((*each, False) for each in closed)],
        "policies": said.policies(),
        "namespaces": said.namespaces(),
    }
    done = subprocess.run(
        [*own_network, sys.executable, "-m", "tests.integration.enforced"],
        input=json.dumps(question),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answer = {when: [tuple(each) for each in passed] for when, passed in json.loads(done.stdout).items()}
    assert answer["before"] == [*opened, *closed]  # somebody listens at the end of each
    assert answer["now"] == opened
