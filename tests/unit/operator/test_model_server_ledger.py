"""The mirror of a ModelServer's history: each decision written once, in order, and a condition that says so."""

from mlops_operator.api.model_server import Recorded
from tests.unit.operator.model_server_world import A, B, said
from tests.unit.operator.test_model_server_admission import NEW, OLD, VERDICT, World

ADDRESS = "gs://b/ledger/team/pets/1.json"


def test_a_decision_is_to_be_written_until_it_is() -> None:
    world = World().serving_old()
    [record] = world.plan.records
    assert (record.address, record.champion, record.entry["outcome"]) == (ADDRESS, A, "Served")
    assert "ledger" not in world.status
    plan = world.step(recorded=Recorded(0, "Bucket gs://b does not answer: 503"))
    text = "tried again: Bucket gs://b does not answer: 503"
    assert said(plan, "Recorded") == ("False", "NotWritten", text)
    assert [record.address for record in plan.records] == [ADDRESS]
    plan = world.step(recorded=Recorded(1, "", "MLflow's @champion is set"))
    text = "1 decisions are in ledger/team/pets/; MLflow's @champion is set"
    assert said(plan, "Recorded") == ("True", "Written", text)
    assert (plan.records, world.status["ledger"]) == ((), {"through": 1})


def test_an_operator_that_starts_anew_writes_nothing_twice() -> None:
    world = World().serving_old()
    world.step(recorded=Recorded(1))
    plan = world.step(recorded=Recorded())
    assert (plan.records, world.status["ledger"]) == ((), {"through": 1})
    assert said(plan, "Recorded")[0] == "True"


def test_what_goes_back_makes_the_old_model_champion_again_and_a_refused_one_changes_nothing() -> None:
    world = World().serving_old()
    world.step(training_runs=(OLD, NEW))
    world.step(**world.started())
    plan = world.step(**world.judged({**VERDICT, "verdict": "WorseThanServing", "message": "worse"}))
    assert [(record.entry["sha256"], record.champion) for record in plan.records] == [(A, A), (B, A)]
