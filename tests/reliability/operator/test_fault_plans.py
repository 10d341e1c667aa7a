"""Every fault of every kind in each of the seven workloads: the end is the one without faults, within 75 s."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from devcluster.cluster import Cluster
from tests.integration.figures import tell
from tests.reliability.operator import plans
from tests.reliability.operator.plans import Outcome, dump, told
from tests.reliability.operator.workloads import WORKLOADS
from tests.reliability.operator.world import house

AT_ONCE = 16


@pytest.fixture(scope="module")
def outcomes(control_plane: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, list[Outcome]]:
    """What came of each plan, by workload."""

    async def all_of_them() -> list[Outcome]:
        async with house(control_plane, tmp_path_factory.mktemp("operators")) as shared:
            found = await plans.references(shared, WORKLOADS)
            wanted = [plan for workload in WORKLOADS for plan in plans.all_plans(workload, found[workload])]
            return await plans.run_all(shared, wanted, found, AT_ONCE)

    done = asyncio.run(all_of_them())
    tell(f"fault proxy: {told(done)}")
    return {workload: [o for o in done if o.plan.workload == workload] for workload in WORKLOADS}


@pytest.mark.parametrize("workload", WORKLOADS)
def test_each_plan_ends_as_without_faults(outcomes: Mapping[str, list[Outcome]], workload: str) -> None:
    assert dump(outcomes[workload]) == ""


@pytest.mark.parametrize("workload", WORKLOADS)
def test_nearly_each_plan_met_its_fault(outcomes: Mapping[str, list[Outcome]], workload: str) -> None:
    # A fault at a write or event that a faster way to the end spares is not met.
    missed = [str(o.plan) for o in outcomes[workload] if not o.met]
    assert len(missed) <= 0.1 * len(outcomes[workload]), missed


def test_a_planted_bug_of_each_class_is_found(control_plane: Cluster, tmp_path_factory: pytest.TempPathFactory) -> None:
    async def both() -> list[tuple[Outcome, Outcome]]:
        async with house(control_plane, tmp_path_factory.mktemp("planted")) as shared:
            found = await plans.references(shared, {plan.workload for plan, _ in plans.planted_plans()})
            pairs = (plans.with_and_without(shared, *planted, found) for planted in plans.planted_plans())
            return list(await asyncio.gather(*pairs))

    pairs = asyncio.run(both())
    assert [str(bad.plan) for bad, _ in pairs if not bad.trouble] == []
    assert dump([sound for _, sound in pairs]) == ""
    tell(f"planted bugs: {len(pairs)}, all found; the same {len(pairs)} plans without them end well")
