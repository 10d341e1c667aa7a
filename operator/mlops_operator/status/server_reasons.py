"""Every reason that a ModelServer's conditions can have by the operator's own word: where, when, and what to do next.

The only list of them: docs/modelserver.md is made from it, and tests hold the code to it. It decides nothing.
"""

from dataclasses import dataclass

TRIAL = ("CandidateAccepted=Unknown", "Settled=False", "Ready=False")
OUT = ("CandidateAccepted=False", "Settled=True", "Ready=False")
SENT_BACK = ("RolledBack=True", "CandidateAccepted=False", "Settled=True")
NOTHING = ("Settled=False", "Ready=False")


@dataclass(frozen=True)
class ServerReason:
    """`conditions` says which condition has it with which status, as "Ready=True"; Ready only while nothing serves,
    where it is among others. `when` completes "Given when ..."; `hint` is empty where there is nothing to do."""

    name: str
    conditions: tuple[str, ...]
    when: str
    hint: str = ""


SERVING = (
    ServerReason("Serving", ("Ready=True",), "a pod answers with a verified model"),
    ServerReason("Served", ("Settled=True",), "all pods serve the newest candidate"),
    ServerReason("Accepted", ("CandidateAccepted=True",), "the gate let it in"),
    ServerReason(
        "GateOff", ("CandidateAccepted=True",), "gate.policy and smoke.policy are None: nothing was asked of it"
    ),
    ServerReason("Promoted", ("CandidateAccepted=True",), "a person let it in past the gate; status.history says who"),
    ServerReason(
        "RolledBackByHand",
        ("CandidateAccepted=True", "CandidateAccepted=False", "Settled=True"),
        "spec.rollbackTo names it; with False it is what had to go for that",
        "What had to go comes back when modelFrom, gate, smoke or watch changes, or by the annotation retry.",
    ),
    ServerReason("Kept", ("RolledBack=False",), "it was watched, and nothing was wrong; the message has the figures"),
    ServerReason("NotWatched", ("RolledBack=False",), "there is no window, or nothing that it could go back to"),
)
"""What is served, and how it came in."""

UNDER_WAY = (
    ServerReason(
        "WaitingForTrainingRun",
        NOTHING,
        "modelFrom names no run that has succeeded yet",
        "Look at the run that the message names, or apply one.",
    ),
    ServerReason("StartingCandidate", TRIAL, "the candidate's pod starts", "Wait: half a minute."),
    ServerReason("Judging", TRIAL, "the judge is at work", "Wait: a minute or two."),
    ServerReason("RollingOut", ("Settled=False",), "new pods get ready and old ones go", "Wait."),
    ServerReason("Watching", ("Settled=False",), "all pods serve it, and watch.windowSeconds run", "Wait."),
    ServerReason("RollingBack", ("Settled=False",), "the model that served before comes back", "Wait."),
    ServerReason("Starting", ("Ready=False",), "the first pod loads and checks its model", "Wait: half a minute."),
)
"""What passes by itself."""

REFUSED = (
    ServerReason(
        "BelowMinimum", OUT, "its metric is below gate.minimum", "Train a better model, or lower the minimum."
    ),
    ServerReason(
        "WorseThanServing",
        OUT,
        "it is worse than what serves, beyond chance and beyond gate.maxRegression",
        "Look at the first pictures of the report that status.gate names.",
    ),
    ServerReason(
        "Inconclusive",
        (*OUT, "RolledBack=False"),
        "there were too few pictures to tell, and gate.inconclusive is Refuse, or it fell too far; as RolledBack: too "
        "few requests, and it stays",
        "A larger evaluation set; a longer window, or fewer watch.minRequests.",
    ),
    ServerReason(
        "EvalSetMismatch",
        OUT,
        "the evaluation set is missing, damaged or lacks a class",
        "Name another digest in gate.evalSet: `catsdogs evalset --list`.",
    ),
    ServerReason(
        "SanityFailed",
        OUT,
        "it knows one class only, is no better than chance, can't be loaded, or was trained on the evaluation set",
        "The message says which; look at its data.",
    ),
    ServerReason(
        "SmokeFailed",
        OUT,
        "its own pod did not get ready, or answered wrongly or too slowly",
        "The message has the request or the pod's words.",
    ),
    ServerReason("ErrorRate", SENT_BACK, "too many of its requests failed", "The message has the figures."),
    ServerReason("Latency", SENT_BACK, "95 % of its requests took too long", "The message has the figures."),
    ServerReason(
        "RolloutFailed", SENT_BACK, "its pods were in trouble for five minutes", "The message has the pod's words."
    ),
)
"""Why a candidate stays out; it is in status.quarantine."""

HELD_UP = (
    ServerReason("TrainingRunFailed", NOTHING, "the run that modelFrom names failed", "Look at that run."),
    ServerReason(
        "ModelUnavailable",
        TRIAL,
        "the bucket does not give the candidate's pod its model; it is tried again every 30 s",
        "The message has the bucket's words: is it there, and may the server's account read it?",
    ),
    ServerReason(
        "GateError",
        TRIAL,
        "the judge could not judge; it is tried again every minute",
        "Mend what the message names: the bucket, a right, a damaged file.",
    ),
    ServerReason(
        "NameTaken",
        TRIAL,
        "an object of somebody else has the candidate's or the judge's name",
        "Delete it, or give the ModelServer another name.",
    ),
    ServerReason(
        "RollbackTargetUnknown",
        NOTHING,
        "spec.rollbackTo names no model that served",
        "Take a number or digest from status.history.",
    ),
    ServerReason(
        "NoImage",
        NOTHING,
        "neither spec.image nor the operator's SERVER_IMAGE names an image",
        "Give spec.image, or set the operator's SERVER_IMAGE.",
    ),
    ServerReason(
        "ImageNotAllowed",
        NOTHING,
        "spec.image is from a registry that the operator's ALLOWED_REGISTRIES does not list",
        "Use an image of an allowed registry; what runs stays meanwhile.",
    ),
    ServerReason("Stopped", NOTHING, "spec.stop is true", "Set it to false to serve the same model again."),
    ServerReason("ScaledToZero", NOTHING, "spec.replicas is 0", "Raise it to serve."),
)
"""What somebody has to do something about, or wanted so."""

MIRRORS = (
    ServerReason("Written", ("Recorded=True",), "the bucket holds all of status.history"),
    ServerReason(
        "NotWritten",
        ("Recorded=False",),
        "the bucket does not take an entry; it is tried again every 30 s",
        "The message has the bucket's answer.",
    ),
    ServerReason("PodMonitoringApplied", ("Monitored=True",), "Managed Prometheus scrapes the pods"),
    ServerReason(
        "PodMonitoringMissing",
        ("Monitored=False",),
        "the cluster has no kind PodMonitoring; all else works",
        "Scrape port 8081 of the pods yourself.",
    ),
    ServerReason("NothingToMonitor", ("Monitored=False",), "there is no Deployment yet"),
    ServerReason(
        "HTTPRouteApplied",
        ("Routed=True",),
        "the Gateway is asked to send requests",
        "`kubectl describe httproute` says whether it was taken.",
    ),
    ServerReason(
        "GatewayAPIMissing",
        ("Routed=False",),
        "expose.route is given, and the cluster has no kind HTTPRoute",
        "Install the Gateway API.",
    ),
    ServerReason("NothingToRoute", ("Routed=False",), "there is no Deployment yet"),
)
"""What stands beside the model: ledger, scraping, route."""

ALL = (*SERVING, *UNDER_WAY, *REFUSED, *HELD_UP, *MIRRORS)
OF_PODS = ("CandidateAccepted=Unknown", "Settled=False", "Ready=False")
"""Where any other reason may stand: it is the kubelet's, the scheduler's or the Deployment controller's own word."""


def is_listed(type_: str, status: str, reason: str) -> bool:
    """Whether a condition may have that reason with that status, by this table or by a pod's own word."""
    where = f"{type_}={status}"
    known = [listed for listed in ALL if listed.name == reason]
    return any(where in listed.conditions for listed in known) if known else where in OF_PODS
