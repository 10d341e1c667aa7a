"""Whether the model that modelFrom names gets in: refused, judged, rolled out, watched, or sent back.

Pure. What was decided lies in the status (candidate, gate, rollout, quarantine, history), so that an operator
that starts anew goes on where the last one stopped.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from mlops_operator.api.model_server import Model, ModelServer
from mlops_operator.api.times import parse_time, timestamp
from mlops_operator.builders.judge import judged_pair
from mlops_operator.reconcile.decision import FIELDS, LOOK_AGAIN, Decision, Question, name_of
from mlops_operator.reconcile.model_source import Candidate
from mlops_operator.reconcile.records import (
    decided,
    find_in_history,
    had_seconds,
    quarantined,
    record,
    settled_quarantine,
    unavailable,
    with_entry,
    with_quarantined,
)
from mlops_operator.reconcile.rollout import baseline, excuse, rolled_to, serves, under_way, with_superseded
from mlops_operator.status.pod import address_of
from mlops_operator.status.server_pods import find_trouble, is_ready
from mlops_operator.status.verdict import ACCEPTED, ended, judges, verdict_of

CANDIDATE_SECONDS = 300.0
RETRY_SECONDS = 60.0
# What a pod that never gets ready suffers from when the model or its size is to blame, and not the cluster.
MODEL_TROUBLES = frozenset({"CrashLoopBackOff", "Error", "OOMKilled"})


def by_hand(server: ModelServer, target: Candidate) -> tuple[str, str]:
    """Reason and message when a person let the target in past the gate; two empty strings else."""
    if server.rollback_to:
        return "RolledBackByHand", f"spec.rollbackTo is {server.rollback_to}"
    what, who, why = server.promote.what, server.promote.who, server.promote.why
    named = target.model is not None and what in (target.run, target.model.sha256, target.model.version)
    if what and who and named:
        return "Promoted", f"let in past the gate by {who}" + (f": {why}" if why else "")
    return "", ""


def rollback_target(server: ModelServer) -> Candidate:
    """The model of `spec.rollbackTo`, which served once."""
    history = server.status.get("history") or ()
    model = find_in_history(history, server.rollback_to)
    if model is None:
        message = f"status.history has no model {server.rollback_to} that served: give an entry's number or the first"
        return Candidate(reason="RollbackTargetUnknown", message=f"{message} digits of its sha256")
    return Candidate(model=model, run=model.training_run)


def decide(question: Question) -> Decision:
    """The decision of this pass, on facts taken from the status."""
    server, target, serving = question.server, question.target, question.serving
    facts = {name: server.status[name] for name in FIELDS if server.status.get(name)}
    facts["quarantine"] = settled_quarantine(server)
    asked = replace(question, facts={name: value for name, value in facts.items() if value})
    if not question.runnable or server.stop or server.scaled_to_zero:
        return Decision(serving, asked.without("candidate"))
    reason, message = by_hand(server, target)
    rollout = asked.facts.get("rollout")
    if rollout and not _superseded(asked, rollout, bool(reason)):
        return under_way(asked, rollout)
    asked = replace(asked, serving=_proved(server, serving))
    if target.model is None:
        return Decision(serving, asked.without("candidate"))
    if serving and (serving.sha256, serving.uri) == (target.model.sha256, target.model.uri):
        return Decision(target.model, asked.without("candidate", "rollout"))
    if reason:
        return accept(asked, reason, message, "ByHand")
    if entry := quarantined(server, target.model.sha256):
        return refused(asked, entry["reason"], entry["message"])
    if not server.admission.judged:
        return accept(asked, "GateOff", "gate.policy and smoke.policy are None: nothing was asked of it")
    return _judged(asked)


def _proved(server: ModelServer, serving: Model | None) -> Model | None:
    """What the Deployment is told to serve, if pods ever did: else there is nothing to compare with or go back to."""
    answered = (server.status.get("model") or {}).get("sha256")
    ours = decided(server.status.get("history") or ())
    return serving if serving and serving.sha256 in (answered, ours.sha256 if ours else "") else None


def _superseded(question: Question, rollout: Mapping[str, Any], by_hand: bool) -> bool:
    """Whether another model takes the place of one on its way in: by hand at once, else only of one that does not
    get ready and has nothing to go back to."""
    model = question.target.model
    if model is None or model.sha256 == rollout["sha256"]:
        return False
    if by_hand:
        return True
    hopeless = "previous" not in rollout and not rolled_to(question.observed, rollout["sha256"])
    return hopeless and quarantined(question.server, model.sha256) is None


def refused(question: Question, reason: str, message: str) -> Decision:
    """The target stays out; what serves stays."""
    serving = question.serving
    stays = f"; model {name_of(serving)} stays" if serving else "; nothing is served"
    return Decision(
        serving,
        question.without("candidate"),
        accepted=("False", reason, message),
        settled=("True", reason, f"{message}{stays}"),
    )


def accept(question: Question, reason: str, message: str, kind: str = "Candidate", **facts: Any) -> Decision:
    """The target is rolled out; recorded before anything is done, with what to go back to."""
    server, model, serving, now = question.server, question.target.model, question.serving, question.now
    assert model is not None
    kept = {**question.without("candidate"), **facts}
    kept["history"] = with_superseded(question)
    if reason == "RolledBackByHand" and serving:
        text = f"{message}: model {name_of(serving)} was taken back by hand"
        kept["quarantine"] = with_quarantined(server, kept.get("quarantine", ()), serving, reason, text, now)
    rollout = {
        **record(model),
        "kind": kind,
        "reason": reason,
        "message": message[:1024],
        "startedAt": timestamp(now),
        **({"previous": record(serving), "baseline": baseline(question)} if serving else {}),
    }
    kept["rollout"] = {name: value for name, value in rollout.items() if value}
    kept = {name: value for name, value in kept.items() if value}
    return Decision(
        model,
        kept,
        accepted=("True", reason, message),
        settled=("False", "RollingOut", f"model {name_of(model)} is let in ({reason}) and rolls out"),
        requeue_after=LOOK_AGAIN,
    )


def refuse(question: Question, reason: str, message: str, figures: Mapping[str, Any] | None = None) -> Decision:
    """Quarantine the target and remember why."""
    server, model, now = question.server, question.target.model, question.now
    assert model is not None
    serving = question.serving
    facts = question.without("candidate")
    facts["quarantine"] = with_quarantined(server, facts.get("quarantine", ()), model, reason, message, now)
    facts["history"] = with_entry(
        facts.get("history", ()),
        server.history_limit,
        model,
        now,
        "Refused",
        reason,
        message,
        **{"from": serving.sha256 if serving else ""},
    )
    if figures:
        facts["gate"] = {"sha256": model.sha256, "verdict": reason, **figures}
    return refused(replace(question, facts=facts), reason, message)


def _judged(question: Question) -> Decision:
    """Start the candidate, have it judged, and act on the verdict."""
    server, observed, model, now = question.server, question.observed, question.target.model, question.now
    assert model is not None
    terms = server.admission
    known = question.facts.get("candidate") or {}
    kept = {name: known[name] for name in ("since", "unavailableAt") if name in known}
    times = kept if known.get("sha256") == model.sha256 else {"since": timestamp(now)}
    asked = replace(question, facts={**question.facts, "candidate": {**record(model), **times}})
    job = observed.judge
    current = job is not None and judges(job) == judged_pair(model, question.serving, terms.gate, terms.smoke)
    waiting = Decision(question.serving, asked.facts, candidate=model, drop_judge=job is not None and not current)
    if observed.taken:
        text = f"{observed.taken} belongs to somebody else: delete it, or give the ModelServer another name"
        return replace(_asks(replace(waiting, candidate=None), "NameTaken", text), requeue_after=CANDIDATE_SECONDS)
    if job is not None and current:
        return _heard(asked, job, waiting)
    if terms.smoke.policy == "None":
        return _asks(waiting, "Judging", f"model {name_of(model)} is being judged", url="")
    ready = [p for p in observed.candidate_pods if is_ready(p) and serves(p, model)]
    if ready and (address := ready[0].get("status", {}).get("podIP")):
        return _asks(
            waiting, "Judging", f"model {name_of(model)} is being judged", url=f"http://{address_of(address)}:8080"
        )
    return _not_ready(asked, waiting)


def _heard(question: Question, job: Mapping[str, Any], waiting: Decision) -> Decision:
    """What the judge said, if it has."""
    observed, model = question.observed, question.target.model
    assert model is not None
    condition = ended(job)
    if condition is None:
        return _asks(waiting, "Judging", f"model {name_of(model)} is being judged")
    verdict = verdict_of(job, observed.judge_pods, observed.verdict, model.sha256)
    if verdict is None:
        return replace(
            _asks(waiting, "Judging", "the judge is through; its report is being read"), requeue_after=LOOK_AGAIN
        )
    if verdict.reason == ACCEPTED:
        gate = {"sha256": model.sha256, "verdict": ACCEPTED, **verdict.figures}
        return accept(question, ACCEPTED, verdict.message, gate=gate)
    if verdict.reason:
        return refuse(question, verdict.reason, verdict.message, verdict.figures)
    again = parse_time(condition["lastTransitionTime"]) + timedelta(seconds=RETRY_SECONDS)
    left = (again - question.now).total_seconds()
    if left <= 0:
        waiting = replace(waiting, drop_judge=True)
    text = f"model {name_of(model)} can't be judged, tried again every minute: {verdict.message}"
    return replace(_asks(waiting, "GateError", text), requeue_after=max(left, LOOK_AGAIN))


def _not_ready(question: Question, waiting: Decision) -> Decision:
    """The candidate's pod is on its way, or never gets there: by its own words, or by those of the cluster."""
    observed, model = question.observed, question.target.model
    assert model is not None
    pods = [pod for pod in observed.candidate_pods if serves(pod, model)]  # and not one of the candidate before
    complaints = [observed.complaints.get(pod["metadata"]["uid"], "") for pod in pods]
    if said := next(filter(None, complaints), ""):
        return refuse(question, "SmokeFailed", f"the candidate's pod does not get ready: {said}")
    kept = question.facts["candidate"]
    if said := excuse(observed, model):
        waiting = replace(waiting, facts={**waiting.facts, "candidate": unavailable(kept, question.now)})
        text = f"model {name_of(model)} can't be had by the candidate's pod: {said}"
        return replace(_asks(waiting, "ModelUnavailable", text), requeue_after=30.0)
    trouble = find_trouble(pods, observed.candidate)
    waited = had_seconds(kept, "since", question.now)
    blamed = trouble is None or trouble.reason in MODEL_TROUBLES
    if waited >= CANDIDATE_SECONDS and blamed:
        why = trouble.message if trouble else "its pod answers no /health"
        return refuse(question, "SmokeFailed", f"the candidate was not ready within {CANDIDATE_SECONDS:.0f} s: {why}")
    if trouble:
        text = f"model {name_of(model)} can't be started for its judge: {trouble.message}"
        return replace(_asks(waiting, trouble.reason, text), requeue_after=30.0)
    left = max(CANDIDATE_SECONDS - waited, LOOK_AGAIN)
    return replace(
        _asks(waiting, "StartingCandidate", f"model {name_of(model)} starts in a pod of its own"), requeue_after=left
    )


def _asks(waiting: Decision, reason: str, message: str, url: str | None = None) -> Decision:
    stays = f"; model {name_of(waiting.wanted)} stays meanwhile" if waiting.wanted else ""
    return replace(
        waiting,
        judge_url=None if waiting.drop_judge else url,
        accepted=("Unknown", reason, message),
        settled=("False", reason, f"{message}{stays}"),
    )
