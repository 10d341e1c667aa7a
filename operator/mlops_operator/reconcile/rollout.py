"""A model on its way in: until all pods serve it, then watched for a while, kept or sent back.

Pure. The only figures it goes by are those of the new model's own pods, and of the old ones before the roll.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from mlops_operator.api.gate import Traffic, Watch, together
from mlops_operator.api.model_server import Model, Observed
from mlops_operator.api.times import parse_time, timestamp
from mlops_operator.reconcile.decision import LOOK_AGAIN, Decision, Question, name_of
from mlops_operator.reconcile.model_source import model_of_pod_spec
from mlops_operator.reconcile.records import (
    had_seconds,
    model_of_record,
    record,
    unavailable,
    with_entry,
    with_quarantined,
)
from mlops_operator.status.server_pods import all_new_and_ready, find_trouble

ROLL_SECONDS = 300.0
"""How long pods of a new model may stay in trouble before the old one comes back."""
TIMES_SLOWER, MORE_MILLIS = 2.0, 100.0
"""Without maxP95Millis: slower than both, against the baseline, is too slow."""


def under_way(question: Question, rollout: Mapping[str, Any]) -> Decision:
    """The decision while `rollout`, from the status, is under way."""
    model = model_of_record(rollout)
    assert model is not None
    previous = model_of_record(rollout.get("previous"))
    if not rolled_to(question.observed, model.sha256):
        return _rolling(question, rollout, model, previous)
    watch = question.server.admission.watch
    if previous is None or rollout["kind"] == "Back" or watch.window_seconds == 0:
        return _finished(question, rollout, model, "NotWatched", "there was nothing to go back to, or no window")
    return _watching(question, rollout, model, previous)


def rolled_to(observed: Observed, sha256: str) -> bool:
    """Whether all pods of the Deployment serve this digest and are ready."""
    deployment = observed.deployment
    if deployment is None:
        return False
    told = model_of_pod_spec(deployment["spec"]["template"]["spec"])
    return told is not None and told.sha256 == sha256 and all_new_and_ready(deployment)


def baseline(question: Question) -> dict[str, Any]:
    """What the pods have answered before the roll; empty when it is too little to go by."""
    serving = question.serving
    traffic = traffic_of(question.observed, serving.sha256 if serving else "")
    if traffic.requests < question.server.admission.watch.min_requests:
        return {}
    return _figures(traffic)


def traffic_of(observed: Observed, sha256: str) -> Traffic:
    """What the pods that serve this digest have answered."""
    serve = [p for p in observed.pods if (told := model_of_pod_spec(p["spec"])) and told.sha256 == sha256]
    uids = [pod["metadata"].get("uid", "") for pod in serve]
    return together(tuple(observed.traffic[uid] for uid in uids if uid in observed.traffic))


def breach(traffic: Traffic, watch: Watch, before: Mapping[str, Any]) -> tuple[str, str] | None:
    """Reason and figures when the pods fail or take too long; None while they do not, or while too few asked."""
    if traffic.requests < watch.min_requests:
        return None
    if traffic.error_rate > watch.max_error_rate:
        share = f"{traffic.errors} of {traffic.requests} requests failed ({traffic.error_rate:.1%})"
        return "ErrorRate", f"{share}, allowed are {watch.max_error_rate:.1%}"
    limit = float(watch.max_p95_millis)
    if not limit and "p95Millis" in before:
        old = float(before["p95Millis"])
        limit = max(TIMES_SLOWER * old, old + MORE_MILLIS)
    millis = traffic.p95 * 1000
    if limit and millis > limit:
        was = f", it was {before['p95Millis']} ms before" if "p95Millis" in before else ""
        text = f"95 % of {traffic.requests} requests took up to {millis:.0f} ms, allowed are {limit:.0f} ms{was}"
        return "Latency", text
    return None


def with_superseded(question: Question) -> list[dict[str, Any]]:
    """The history, with a model in it that was let in and gives way before its roll is through."""
    rollout = question.facts.get("rollout")
    model = model_of_record(rollout)
    if model is None or rollout is None or rollout["kind"] == "Back":
        return list(question.facts.get("history", ()))
    text = "another model took its place before its roll was through"
    return _entry(question, model, "Superseded", rollout["reason"], text, rollout)


def serves(pod: Mapping[str, Any], model: Model) -> bool:
    """Whether a pod, ready or not, was made for this model."""
    told = model_of_pod_spec(pod["spec"])
    return told is not None and told.sha256 == model.sha256


def excuse(observed: Observed, model: Model) -> str:
    """Why pods of this model can't have it, in the words of one; "" when none says so."""
    pods = (pod for pod in (*observed.pods, *observed.candidate_pods) if serves(pod, model))
    return next(filter(None, (observed.excuses.get(pod["metadata"]["uid"]) for pod in pods)), "")


def _rolling(question: Question, rollout: Mapping[str, Any], model: Model, previous: Model | None) -> Decision:
    observed, now = question.observed, question.now
    if excuse(observed, model):
        facts = {**question.facts, "rollout": unavailable(rollout, now)}
        return Decision(model, facts, requeue_after=30.0)
    trouble = find_trouble(observed.pods, observed.deployment)
    waited = had_seconds(rollout, "startedAt", now)
    if trouble and previous and rollout["kind"] == "Candidate" and waited >= ROLL_SECONDS:
        text = f"its pods were not ready within {ROLL_SECONDS:.0f} s: {trouble.message}"
        return _back(question, rollout, model, previous, "RolloutFailed", text)
    return Decision(model, question.facts, requeue_after=max(ROLL_SECONDS - waited, LOOK_AGAIN))


def _watching(question: Question, rollout: Mapping[str, Any], model: Model, previous: Model) -> Decision:
    watch, now = question.server.admission.watch, question.now
    rolled_at = parse_time(rollout["rolledAt"]) if "rolledAt" in rollout else now
    left = (rolled_at + timedelta(seconds=watch.window_seconds) - now).total_seconds()
    traffic = traffic_of(question.observed, model.sha256)
    broken = breach(traffic, watch, rollout.get("baseline") or {})
    if broken:
        reason, figures = broken
        seconds = (now - rolled_at).total_seconds()
        return _back(question, rollout, model, previous, reason, f"{figures}, {seconds:.0f} s after the roll")
    if left <= 0:
        if traffic.requests < watch.min_requests:
            few = f"{traffic.requests} requests in {watch.window_seconds} s, {watch.min_requests} are needed to judge"
            return _finished(question, rollout, model, "Inconclusive", f"kept: {few}")
        said = f"kept: {traffic.requests} requests, {traffic.error_rate:.1%} failed, 95 % within"
        return _finished(question, rollout, model, "Kept", f"{said} {traffic.p95 * 1000:.0f} ms")
    facts = {**question.facts, "rollout": {**rollout, "rolledAt": timestamp(rolled_at)}}
    until = timestamp(rolled_at + timedelta(seconds=watch.window_seconds))
    text = f"model {name_of(model)} serves on all pods and is watched until {until}"
    return Decision(model, facts, settled=("False", "Watching", text), requeue_after=min(left, LOOK_AGAIN))


def _finished(question: Question, rollout: Mapping[str, Any], model: Model, reason: str, message: str) -> Decision:
    facts = question.without("rollout")
    if rollout["kind"] == "Back":
        return Decision(model, facts)
    entry = _entry(question, model, "Served", rollout["reason"], rollout.get("message", ""), rollout)
    return Decision(model, {**facts, "history": entry}, rolled_back=("False", reason, message))


def _back(
    question: Question, rollout: Mapping[str, Any], model: Model, previous: Model, reason: str, why: str
) -> Decision:
    """Quarantine what was let in and roll back to what served before."""
    server, now = question.server, question.now
    message = f"model {name_of(model)}: {why}; back to {name_of(previous)}"
    facts = question.without("rollout")
    facts["quarantine"] = with_quarantined(server, facts.get("quarantine", ()), model, reason, message, now)
    facts["history"] = _entry(question, model, "RolledBack", reason, message, rollout)
    facts["rollout"] = {**record(previous), "kind": "Back", "reason": reason, "startedAt": timestamp(now)}
    return Decision(
        previous,
        facts,
        accepted=("False", reason, message),
        rolled_back=("True", reason, message),
        settled=("False", "RollingBack", message),
        requeue_after=LOOK_AGAIN,
    )


def _entry(
    question: Question, model: Model, outcome: str, reason: str, message: str, rollout: Mapping[str, Any]
) -> list[dict[str, Any]]:
    server = question.server
    more = {
        "from": (rollout.get("previous") or {}).get("sha256", ""),
        "by": server.promote.who if rollout["reason"] == "Promoted" else "",
    }
    history = question.facts.get("history", ())
    return with_entry(history, server.history_limit, model, question.now, outcome, reason, message, **more)


def _figures(traffic: Traffic) -> dict[str, Any]:
    return {
        "requests": traffic.requests,
        "errorRate": f"{traffic.error_rate:.4f}",
        "p95Millis": round(traffic.p95 * 1000),
    }
