"""A checkout to run the delivery's steps in."""

from pathlib import Path

import pytest

from devcluster import programs
from devcluster.progress import Reporter
from tests.delivery.steps import Steps, steps_in, with_programs


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Steps:
    """A checkout that nobody changes."""
    return steps_in(tmp_path_factory.mktemp("delivery"))


@pytest.fixture
def steps(checkout: Steps, tmp_path: Path) -> Steps:
    """The steps of scripts/delivery, without a cluster and without a cloud."""
    made = with_programs(checkout, tmp_path)
    made.program("kubectl", f'exec {programs.kubectl(Reporter())} "$@"')
    return made


@pytest.fixture
def own(tmp_path: Path) -> Steps:
    """Steps in a checkout that the test may change."""
    return steps_in(tmp_path)
