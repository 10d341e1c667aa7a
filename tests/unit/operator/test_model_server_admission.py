"""How a new model gets in, is refused, watched and sent back: each step of status and world, with the gate on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from mlops_operator.api.gate import Traffic
from mlops_operator.api.model_server import ModelServer, Observed
from mlops_operator.reconcile.model_server import reconcile
from mlops_operator.reconcile.plan import ChildRef, Plan
from tests.unit.operator.model_server_world import (
    NOW,
    SETTINGS,
    A,
    B,
    applied,
    pod,
    run,
    said,
    server,
)

GATED: Mapping[str, Any] = {
    "modelFrom": {"selector": {"matchLabels": {"app": "pets"}}},
    "gate": {"policy": "Compare", "minimum": "0.6"},
    "smoke": {"policy": "Requests"},
    "watch": {"windowSeconds": 60},
}
LABELS = {"app": "pets"}
OLD = run("old", "True", "Completed", sha256=A, labels=LABELS)
NEW = run("new", "True", "Completed", sha256=B, labels=LABELS, created="2026-01-02T00:00:00Z")
VERDICT = {
    "ok": True,
    "candidate": B,
    "serving": A,
    "metric": "accuracy",
    "evalSet": "e" * 64,
    "count": 300,
    "candidateValue": 0.9,
    "candidateLow": 0.86,
    "candidateHigh": 0.93,
    "servingValue": 0.88,
    "difference": 0.02,
    "differenceLow": -0.01,
    "differenceHigh": 0.05,
    "disagreement": 0.06,
    "smokeMillis": 12.4,
    "report": "gs://b/reports/team/pets/bbbbbbbbbbbb/report.html",
}
FIGURES = {
    "metric": "accuracy",
    "evalSet": "e" * 64,
    "count": 300,
    "candidateValue": "0.9000",
    "candidateLow": "0.8600",
    "candidateHigh": "0.9300",
    "servingValue": "0.8800",
    "difference": "0.0200",
    "differenceLow": "-0.0100",
    "differenceHigh": "0.0500",
    "disagreement": "0.0600",
    "smokeMillis": 12,
    "report": "gs://b/reports/team/pets/bbbbbbbbbbbb/report.html",
}


class World:
    """Plays the cluster between passes: what a plan applies and deletes is there in the next one."""

    def __init__(self, *runs: Mapping[str, Any], spec: Mapping[str, Any] = GATED) -> None:
        self.spec = dict(spec)
        self.annotations: dict[str, str] = {}
        self.status: Mapping[str, Any] = {}
        self.observed = Observed(training_runs=tuple(runs))
        self.now = NOW
        self.generation = 1
        self.plan = Plan()

    @property
    def server(self) -> ModelServer:
        found = server(self.spec, self.status, self.generation)
        return ModelServer(
            **{**vars(found), "retry": self.annotations.get("retry", ""), "promote": self.promote or found.promote}
        )

    promote: Any = None

    def step(self, seconds: float = 1, **seen: Any) -> Plan:
        """One pass, `seconds` later, with more seen."""
        self.now += timedelta(seconds=seconds)
        self.observed = Observed(**{**vars(self.observed), **seen})
        self.plan = reconcile(self.server, self.observed, SETTINGS, self.now)
        assert self.plan.status is not None
        self.status = json.loads(json.dumps(self.plan.status))
        return self.plan

    def rolled(self) -> dict[str, Any]:
        """The Deployment that the last plan applied, rolled out: what to see next."""
        body = applied_deployment(self.plan, "pets")
        count = body["spec"]["replicas"]
        up = {
            "metadata": {**body["metadata"], "generation": 1},
            "spec": body["spec"],
            "status": {"observedGeneration": 1, **dict.fromkeys(COUNTS, count)},
        }
        return {"deployment": up, "pods": tuple(named(pod(up), f"pets-{number + 1}") for number in range(count))}

    def started(self) -> dict[str, Any]:
        """The candidate that the last plan applied, ready: what to see next."""
        body = applied_deployment(self.plan, "pets-candidate")
        there = named(pod(body), "pets-candidate-1")
        there["status"]["podIP"] = "10.1.1.1"
        return {"candidate": {"metadata": {**body["metadata"], "uid": "d-1"}}, "candidate_pods": (there,)}

    def judged(self, verdict: Mapping[str, Any]) -> dict[str, Any]:
        """The judge that the last plan applied, through with this verdict: what to see next."""
        body = applied(self.plan, "Job")
        failed = verdict.get("ok") is not True
        condition = {
            "type": "Failed" if failed else "Complete",
            "status": "True",
            "lastTransitionTime": self.now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        state = {"terminated": {"exitCode": int(failed), "message": json.dumps(verdict)}}
        pods = ({"metadata": {"name": "j"}, "status": {"containerStatuses": [{"state": state}]}},)
        job = {"metadata": {**body["metadata"], "uid": "j-1"}, "status": {"conditions": [condition]}}
        return {"judge": job, "judge_pods": pods}

    def serving_old(self) -> World:
        """A world in which the old model was let in and serves."""
        self.observed = Observed(training_runs=(OLD,))
        self.step()
        self.step(**self.started())
        self.step(**self.judged({**VERDICT, "candidate": A, "serving": "", "verdict": "Accepted", "message": "fine"}))
        self.step(**self.rolled())
        self.step(candidate=None, candidate_pods=(), judge=None, judge_pods=())
        assert said(self.plan, "Settled")[:2] == ("True", "Served")
        return self

    def new_accepted(self) -> World:
        """From there on, the new model is judged, let in and rolled out; its watch begins."""
        self.step(training_runs=(OLD, NEW))
        self.step(**self.started())
        self.step(**self.judged({**VERDICT, "verdict": "Accepted", "message": "better"}))
        self.step(**self.rolled(), candidate=None, candidate_pods=(), judge=None, judge_pods=())
        return self


COUNTS = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")


def applied_deployment(plan: Plan, name: str) -> dict[str, Any]:
    [found] = [c for c in plan.apply if c["kind"] == "Deployment" and c["metadata"]["name"] == name]
    return dict(found)


def named(one: dict[str, Any], name: str) -> dict[str, Any]:
    return {**one, "metadata": {**one["metadata"], "name": name, "uid": f"uid-{name}"}}


def model_applied(plan: Plan) -> str:
    spec = applied_deployment(plan, "pets")["spec"]["template"]["spec"]
    return {item["name"]: item["value"] for item in spec["containers"][0]["env"]}["MODEL_SHA256"]


def kinds(plan: Plan) -> list[str]:
    return [f"{child['kind']}/{child['metadata']['name']}" for child in plan.apply]


def outcomes(world: World) -> list[tuple[int, str, str, str]]:
    return [(e["number"], e["sha256"][:1], e["outcome"], e["reason"]) for e in world.status.get("history", [])]


def test_the_first_model_is_judged_alone_before_anything_serves() -> None:
    world = World(OLD)
    plan = world.step()
    assert kinds(plan) == ["NetworkPolicy/pets-candidate", "Deployment/pets-candidate"]
    text = "model aaaa starts in a pod of its own"
    assert said(plan, "CandidateAccepted") == ("Unknown", "StartingCandidate", text)
    assert said(plan, "Ready") == ("False", "StartingCandidate", text)
    plan = world.step(**world.started())
    assert kinds(plan) == ["NetworkPolicy/pets-candidate", "Deployment/pets-candidate", "Job/pets-judge"]
    env = {e["name"]: e["value"] for e in applied(plan, "Job")["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert (env["GATE_SERVING_SHA256"], env["GATE_CANDIDATE_URL"]) == ("", "http://10.1.1.1:8080")
    assert env["GATE_REPORT"] == f"gs://b/reports/team/pets/{A[:12]}/"
    plan = world.step(
        **world.judged({**VERDICT, "candidate": A, "serving": "", "verdict": "Accepted", "message": "ok"})
    )
    assert model_applied(plan) == A
    assert [child.name for child in plan.delete] == ["pets-candidate", "pets-judge"]
    assert said(plan, "CandidateAccepted") == ("True", "Accepted", "ok")
    plan = world.step(**world.rolled())
    assert said(plan, "Settled") == ("True", "Served", "model aaaa of TrainingRun old serves on all pods")
    assert outcomes(world) == [(1, "a", "Served", "Accepted")]
    assert said(plan, "RolledBack")[:2] == ("False", "NotWatched")


def test_a_new_run_is_judged_while_the_old_model_serves() -> None:
    world = World().serving_old()
    plan = world.step(training_runs=(OLD, NEW))
    assert (model_applied(plan), said(plan, "Ready")[0]) == (A, "True")
    text = "model bbbb starts in a pod of its own; model aaaa stays meanwhile"
    assert said(plan, "Settled") == ("False", "StartingCandidate", text)
    plan = world.step(**world.started())
    env = {e["name"]: e["value"] for e in applied(plan, "Job")["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert (env["GATE_CANDIDATE_SHA256"], env["GATE_SERVING_SHA256"]) == (B, A)
    labels = applied_deployment(plan, "pets-candidate")["spec"]["template"]["metadata"]["labels"]
    assert labels["app.kubernetes.io/name"] != applied(plan, "Service")["spec"]["selector"]["app.kubernetes.io/name"]
    assert world.status["decidedFor"] == "old"


def test_a_better_model_is_rolled_out_watched_and_kept() -> None:
    world = World().serving_old().new_accepted()
    assert said(world.plan, "Settled")[:2] == ("False", "Watching")
    assert world.status["gate"] == {"sha256": B, "verdict": "Accepted", **FIGURES}
    traffic = {"uid-pets-1": Traffic(100, 1, ((0.1, 99), (float("inf"), 100)))}
    plan = world.step(30, traffic=traffic)
    assert said(plan, "Settled")[:2] == ("False", "Watching")
    plan = world.step(31)
    assert said(plan, "Settled") == ("True", "Served", "model bbbb of TrainingRun new serves on all pods")
    assert said(plan, "RolledBack") == ("False", "Kept", "kept: 100 requests, 1.0% failed, 95 % within 96 ms")
    assert outcomes(world) == [(2, "b", "Served", "Accepted"), (1, "a", "Served", "Accepted")]
    assert world.status["history"][0]["from"] == A
    assert "rollout" not in world.status
    before = world.status
    assert world.step(3600).status == before


def test_too_few_requests_are_inconclusive_and_the_model_is_kept() -> None:
    world = World().serving_old().new_accepted()
    plan = world.step(61, traffic={"uid-pets-1": Traffic(3, 3, ())})
    text = "kept: 3 requests in 60 s, 50 are needed to judge"
    assert said(plan, "RolledBack") == ("False", "Inconclusive", text)
    assert world.status["model"]["sha256"] == B


@pytest.mark.parametrize(
    ("traffic", "reason", "words"),
    [
        (Traffic(200, 9, ((0.1, 200),)), "ErrorRate", "9 of 200 requests failed (4.5%), allowed are 2.0%"),
        (
            Traffic(200, 0, ((0.1, 100), (1.0, 200))),
            "Latency",
            "95 % of 200 requests took up to 910 ms, allowed are 138 ms, it was 38 ms before",
        ),
    ],
)
def test_a_breach_in_the_watch_window_goes_back_and_a_gitops_tool_brings_nothing_back(
    traffic: Traffic, reason: str, words: str
) -> None:
    world = World().serving_old()
    world.step(traffic={"uid-pets-1": Traffic(100, 0, ((0.02, 50), (0.04, 100)))})
    world.new_accepted()
    plan = world.step(10, traffic={"uid-pets-1": traffic})
    message = f"model bbbb: {words}, 10 s after the roll; back to aaaa"
    assert said(plan, "RolledBack") == ("True", reason, message)
    assert said(plan, "CandidateAccepted") == ("False", reason, message)
    assert model_applied(plan) == A
    plan = world.step(**world.rolled(), traffic={})
    plan = world.step()
    assert said(plan, "Settled") == ("True", reason, f"{message}; model aaaa stays")
    assert (world.status["decidedFor"], world.status["model"]["sha256"]) == ("new", A)
    assert outcomes(world)[0] == (2, "b", "RolledBack", reason)
    assert [entry["sha256"] for entry in world.status["quarantine"]] == [B]
    world.generation, world.spec = 2, {**GATED, "replicas": 2}
    plan = world.step()
    assert (model_applied(plan), said(plan, "RolledBack")[0]) == (A, "True")
    assert kinds(plan).count("Deployment/pets-candidate") == 0


@pytest.mark.parametrize(
    "reason", ["WorseThanServing", "BelowMinimum", "EvalSetMismatch", "SanityFailed", "SmokeFailed"]
)
def test_a_refused_model_gets_no_request_and_stays_out(reason: str) -> None:
    world = World().serving_old()
    world.step(training_runs=(OLD, NEW))
    world.step(**world.started())
    plan = world.step(**world.judged({**VERDICT, "verdict": reason, "message": "not good"}))
    assert said(plan, "CandidateAccepted") == ("False", reason, "not good")
    assert said(plan, "Settled") == ("True", reason, "not good; model aaaa stays")
    assert (world.status["decidedFor"], world.status["model"]["sha256"]) == ("new", A)
    assert model_applied(plan) == A
    assert len(plan.delete) == 2
    plan = world.step(candidate=None, candidate_pods=(), judge=None, judge_pods=())
    assert kinds(plan) == [
        "Service/pets",
        "PodDisruptionBudget/pets",
        "NetworkPolicy/pets",
        "PodMonitoring/pets",
        "Deployment/pets",
    ]
    assert outcomes(world)[0] == (2, "b", "Refused", reason)


@pytest.mark.parametrize(
    ("change", "again"),
    [
        ({"replicas": 3}, False),
        ({"resources": {"cpu": "1"}}, False),
        ({"gate": {"policy": "Compare", "minimum": "0.5"}}, True),
        ({"watch": {"windowSeconds": 10}}, True),
    ],
)
def test_only_other_terms_release_a_refused_model(change: dict[str, Any], again: bool) -> None:
    world = World().serving_old()
    world.step(training_runs=(OLD, NEW))
    world.step(**world.started())
    world.step(**world.judged({**VERDICT, "verdict": "WorseThanServing", "message": "worse"}))
    world.spec = {**GATED, **change}
    world.generation = 2
    plan = world.step(candidate=None, candidate_pods=(), judge=None, judge_pods=())
    assert ("Deployment/pets-candidate" in kinds(plan)) == again


def test_the_annotation_releases_once() -> None:
    world = World().serving_old()
    world.step(training_runs=(OLD, NEW))
    world.step(**world.started())
    world.step(**world.judged({**VERDICT, "verdict": "WorseThanServing", "message": "worse"}))
    gone: dict[str, Any] = {"candidate": None, "candidate_pods": (), "judge": None, "judge_pods": ()}
    world.annotations["retry"] = B[:12]
    assert "Deployment/pets-candidate" in kinds(world.step(**gone))
    world.step(**world.started())
    world.step(**world.judged({**VERDICT, "verdict": "WorseThanServing", "message": "worse"}))
    assert "Deployment/pets-candidate" not in kinds(world.step(**gone))
    world.annotations["retry"] = ""
    assert "Deployment/pets-candidate" not in kinds(world.step())
    world.annotations["retry"] = B[:12]
    assert "Deployment/pets-candidate" in kinds(world.step())


def test_a_judge_that_can_not_judge_is_tried_again_and_nothing_is_refused() -> None:
    world = World().serving_old()
    world.step(training_runs=(OLD, NEW))
    world.step(**world.started())
    plan = world.step(**world.judged({"ok": False, "message": "bucket gs://b does not answer", "hint": "wait"}))
    text = "model bbbb can't be judged, tried again every minute: bucket gs://b does not answer; wait"
    assert said(plan, "CandidateAccepted") == ("Unknown", "GateError", text)
    assert plan.delete == ()
    plan = world.step(61)
    assert plan.delete == (ChildRef("batch/v1", "Job", "pets-judge", "j-1"),)
    plan = world.step(judge=None, judge_pods=())
    assert "Job/pets-judge" in kinds(plan)


def test_a_verdict_on_another_pair_is_no_verdict() -> None:
    world = World().serving_old()
    world.step(training_runs=(OLD, NEW))
    world.step(**world.started())
    world.spec = {**GATED, "gate": {"policy": "Compare", "minimum": "0.7"}}
    plan = world.step(**world.judged({**VERDICT, "verdict": "Accepted", "message": "fine"}))
    assert plan.delete == (ChildRef("batch/v1", "Job", "pets-judge", "j-1"),)
    assert said(plan, "CandidateAccepted")[0] == "Unknown"


def test_a_candidate_that_says_why_it_is_not_ready_is_refused_with_its_words() -> None:
    world = World().serving_old()
    world.step(training_runs=(OLD, NEW))
    ill = world.started()["candidate_pods"][0]
    ill["status"]["conditions"] = []
    plan = world.step(candidate_pods=(ill,), complaints={"uid-pets-candidate-1": "SHA-256 is c, not b"})
    text = "the candidate's pod does not get ready: SHA-256 is c, not b"
    assert said(plan, "CandidateAccepted") == ("False", "SmokeFailed", text)


def test_a_bucket_that_is_away_is_not_the_candidates_fault() -> None:
    world = World().serving_old()
    world.step(training_runs=(OLD, NEW))
    ready = world.started()
    ill = json.loads(json.dumps(ready["candidate_pods"][0]))
    ill["status"]["conditions"] = []
    said_ = "gs://b/model.pt can't be read: connection refused"
    for seconds in (10, 400, 400):
        plan = world.step(seconds, candidate_pods=(ill,), excuses={"uid-pets-candidate-1": said_})
        text = f"model bbbb can't be had by the candidate's pod: {said_}"
        assert said(plan, "CandidateAccepted") == ("Unknown", "ModelUnavailable", text)
    # Its container or the operator starts anew: nobody says why for a while. Then it is back, and its pod gets ready.
    plan = world.step(200, excuses={})
    assert said(plan, "CandidateAccepted")[:2] == ("Unknown", "StartingCandidate")
    plan = world.step(3, excuses={}, **ready)
    assert "Job/pets-judge" in kinds(plan)


def test_a_candidate_whose_bucket_is_back_has_its_time_and_no_more() -> None:
    world = World().serving_old()
    world.step(training_runs=(OLD, NEW))
    ill = world.started()["candidate_pods"][0]
    ill["status"]["conditions"] = []
    world.step(400, candidate_pods=(ill,), excuses={"uid-pets-candidate-1": "no bucket"})
    plan = world.step(301, excuses={})
    assert said(plan, "CandidateAccepted")[:2] == ("False", "SmokeFailed")


def test_what_the_candidate_before_complains_of_is_not_held_against_the_next() -> None:
    world = World().serving_old()
    world.step(training_runs=(OLD, NEW))
    ill = world.started()["candidate_pods"][0]
    ill["status"]["conditions"] = []
    complaints = {"uid-pets-candidate-1": "SHA-256 is c, not b"}
    world.step(candidate_pods=(ill,), complaints=complaints)
    newest = run("newest", "True", "Completed", sha256="c" * 64, labels=LABELS, created="2026-01-03T00:00:00Z")
    plan = world.step(training_runs=(OLD, NEW, newest), complaints=complaints)
    assert said(plan, "CandidateAccepted")[:2] == ("Unknown", "StartingCandidate")


@pytest.mark.parametrize(("reason", "refused"), [("CrashLoopBackOff", True), ("ImagePullBackOff", False)])
def test_trouble_of_the_cluster_is_not_the_models_fault(reason: str, refused: bool) -> None:
    world = World().serving_old()
    world.step(training_runs=(OLD, NEW))
    ill = world.started()["candidate_pods"][0]
    ill["status"] = {"containerStatuses": [{"state": {"waiting": {"reason": reason, "message": "x"}}}]}
    plan = world.step(400, candidate_pods=(ill,))
    assert said(plan, "CandidateAccepted")[:2] == (("False", "SmokeFailed") if refused else ("Unknown", reason))


def in_trouble(world: World) -> dict[str, Any]:
    """The first pod of a new model that rolls out, and its Deployment."""
    world.serving_old()
    world.step(training_runs=(OLD, NEW))
    world.step(**world.started())
    world.step(**world.judged({**VERDICT, "verdict": "Accepted", "message": "better"}))
    seen = world.rolled()
    seen["deployment"]["status"]["readyReplicas"] = 0
    ill = seen["pods"][0]
    ill["status"] = {"containerStatuses": [{"state": {"waiting": {"reason": "CrashLoopBackOff", "message": "x"}}}]}
    return {"deployment": seen["deployment"], "pods": (ill,)}


def test_a_bucket_that_is_away_during_the_roll_sends_no_model_back() -> None:
    world = World()
    found = in_trouble(world)
    excuses = {found["pods"][0]["metadata"]["uid"]: "no bucket"}
    for seconds in (10, 400, 400):
        plan = world.step(seconds, **found, excuses=excuses)
        assert (said(plan, "Settled")[0], model_applied(plan)) == ("False", B)
    plan = world.step(200, excuses={})
    assert (said(plan, "Settled")[0], model_applied(plan)) == ("False", B)
    plan = world.step(150)
    assert said(plan, "RolledBack")[:2] == ("True", "RolloutFailed")


def test_pods_of_a_new_model_in_trouble_bring_the_old_one_back() -> None:
    world = World()
    plan = world.step(10, **in_trouble(world))
    assert said(plan, "Settled")[:2] == ("False", "CrashLoopBackOff")
    plan = world.step(300)
    assert said(plan, "RolledBack")[:2] == ("True", "RolloutFailed")
    assert model_applied(plan) == A


def test_rollback_by_hand_goes_to_a_model_that_served_and_stays_there() -> None:
    world = World().serving_old().new_accepted()
    world.step(61)
    world.spec, world.generation = {**GATED, "rollbackTo": "1"}, 2
    plan = world.step()
    assert (model_applied(plan), said(plan, "CandidateAccepted")[:2]) == (A, ("True", "RolledBackByHand"))
    plan = world.step(**world.rolled())
    plan = world.step(61)
    assert said(plan, "Settled")[:2] == ("True", "Served")
    assert outcomes(world)[0] == (3, "a", "Served", "RolledBackByHand")
    world.spec, world.generation = dict(GATED), 3
    plan = world.step()
    assert model_applied(plan) == A
    assert said(plan, "Settled")[:2] == ("True", "RolledBackByHand")


def test_a_rollback_to_nowhere_says_what_there_is() -> None:
    world = World().serving_old()
    world.spec = {**GATED, "rollbackTo": "99"}
    plan = world.step()
    text = "status.history has no model 99 that served: give an entry's number or the first digits of its sha256"
    assert said(plan, "Settled") == ("False", "RollbackTargetUnknown", f"{text}; model aaaa stays")


def test_a_promotion_is_recorded_with_who_and_why() -> None:
    from mlops_operator.api.model_server import Promotion

    world = World().serving_old()
    world.step(training_runs=(OLD, NEW))
    world.step(**world.started())
    world.step(**world.judged({**VERDICT, "verdict": "WorseThanServing", "message": "worse"}))
    world.promote = Promotion("new", "ann@example.com", "the test set is stale")
    plan = world.step(candidate=None, candidate_pods=(), judge=None, judge_pods=())
    assert model_applied(plan) == B
    text = "let in past the gate by ann@example.com: the test set is stale"
    assert said(plan, "CandidateAccepted") == ("True", "Promoted", text)
    world.step(**world.rolled())
    world.step(61)
    assert outcomes(world)[0] == (3, "b", "Served", "Promoted")
    assert world.status["history"][0]["by"] == "ann@example.com"


def test_stop_judges_nothing_and_keeps_what_served() -> None:
    world = World().serving_old()
    world.spec, world.generation = {**GATED, "stop": True}, 2
    plan = world.step(training_runs=(OLD, NEW))
    assert kinds(plan).count("Deployment/pets-candidate") == 0
    assert model_applied(plan) == A


def test_what_stands_in_the_way_is_named_and_left_alone() -> None:
    world = World().serving_old()
    plan = world.step(training_runs=(OLD, NEW), taken="Job pets-judge")
    text = "Job pets-judge belongs to somebody else: delete it, or give the ModelServer another name"
    assert said(plan, "CandidateAccepted") == ("Unknown", "NameTaken", text)
    assert "Deployment/pets-candidate" not in kinds(plan)
    assert plan.delete == ()


def test_a_first_model_that_never_gets_ready_makes_way_for_a_newer_run() -> None:
    world = World(OLD)
    world.step()
    world.step(**world.started())
    first = {**VERDICT, "candidate": A, "serving": "", "verdict": "Accepted", "message": "fine"}
    world.step(**world.judged(first))
    seen = world.rolled()
    seen["deployment"]["status"]["readyReplicas"] = 0
    gone: dict[str, Any] = {"candidate": None, "candidate_pods": (), "judge": None, "judge_pods": ()}
    plan = world.step(10, deployment=seen["deployment"], pods=(), **gone)
    assert kinds(plan).count("Deployment/pets-candidate") == 0
    plan = world.step(training_runs=(OLD, NEW))
    assert "Deployment/pets-candidate" in kinds(plan)
    plan = world.step(**world.started())
    env = {e["name"]: e["value"] for e in applied(plan, "Job")["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert (env["GATE_CANDIDATE_SHA256"], env["GATE_SERVING_SHA256"]) == (B, "")
    plan = world.step(**world.judged({**VERDICT, "serving": "", "verdict": "Accepted", "message": "fine"}))
    assert model_applied(plan) == B


def test_a_model_under_watch_is_decided_before_the_next_run_is_looked_at() -> None:
    world = World().serving_old().new_accepted()
    newest = run("newest", "True", "Completed", sha256="c" * 64, labels=LABELS, created="2026-01-03T00:00:00Z")
    plan = world.step(5, training_runs=(OLD, NEW, newest))
    assert said(plan, "Settled")[:2] == ("False", "Watching")
    world.step(60)
    plan = world.step()
    assert "Deployment/pets-candidate" in kinds(plan)


def test_a_deployment_that_somebody_else_gave_another_model_is_given_its_own_again() -> None:
    world = World().serving_old()
    world.step(training_runs=(OLD, NEW))
    world.step(**world.started())
    world.step(**world.judged({**VERDICT, "verdict": "Accepted", "message": "better"}))
    world.spec = {**GATED, "watch": {"windowSeconds": 0}}
    world.step(**world.rolled(), candidate=None, candidate_pods=(), judge=None, judge_pods=())
    worse = run("worse", "True", "Completed", sha256="c" * 64, labels=LABELS, created="2026-01-03T00:00:00Z")
    refused(world, worse)
    assert (told_to_serve(world), world.status["model"]["sha256"]) == (B, B)
    for other in (A, "d" * 64):  # one that served once, as `kubectl rollout undo` brings back; one that nobody judged
        changed = json.loads(json.dumps(world.rolled()).replace(B, other))
        world.step(**changed)
        assert told_to_serve(world) == B
        world.step(**world.rolled())
        assert (world.status["model"]["sha256"], world.status["decidedFor"]) == (B, "worse")
    assert [entry["outcome"] for entry in world.status["history"]] == ["Refused", "Served", "Served"]


def refused(world: World, worse: Mapping[str, Any]) -> None:
    """The newest run's model is judged worse; its trial is over."""
    world.step(training_runs=(OLD, NEW, worse))
    world.step(**world.started())
    sha256 = worse["status"]["model"]["sha256"]
    verdict = {**VERDICT, "candidate": sha256, "serving": B, "verdict": "WorseThanServing", "message": "worse"}
    world.step(**world.judged(verdict))
    world.step(candidate=None, candidate_pods=(), judge=None, judge_pods=())


def told_to_serve(world: World) -> str:
    env = applied_deployment(world.plan, "pets")["spec"]["template"]["spec"]["containers"][0]["env"]
    return str({item["name"]: item["value"] for item in env}["MODEL_SHA256"])
