"""A checkout to run the delivery's steps in."""

from pathlib import Path

import pytest

from devcluster import programs
from devcluster.progress import Reporter
from tests.delivery.steps import Steps, steps_in


@pytest.fixture
def steps(tmp_path: Path) -> Steps:
    """The steps of scripts/delivery, without a cluster and without a cloud."""
    made = steps_in(tmp_path)
    made.program("kubectl", f'exec {programs.kubectl(Reporter())} "$@"')
    return made
