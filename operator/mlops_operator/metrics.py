"""The operator's own metrics for Prometheus, and those of the runs and servers it looks after.

Only counted here; nothing reads them back. What is told of single resources is read from the store at each scrape, so
that a deleted one leaves no series behind. No label is named namespace: that is the scraped pod's own.
"""

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from prometheus_client import REGISTRY, Counter, Gauge, Histogram, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from mlops_operator.api.times import parse_time
from mlops_operator.status.attempts import HELD
from mlops_operator.status.conditions import get_condition
from mlops_operator.status.reasons import TAKEN_AWAY
from mlops_operator.status.run import finished, succeeded_reason

PASSES = Counter("mlops_operator_reconcile", "Passes of reconcile by kind and outcome", ["kind", "outcome"])
PASS_SECONDS = Histogram("mlops_operator_reconcile_seconds", "Duration of a pass", ["kind"])
QUEUED = Gauge("mlops_operator_queue", "Resources that wait for a pass")
WRITES = Counter("mlops_operator_writes", "Writes to the API server by verb and kind", ["verb", "kind"])
LIST_AGE = Gauge("mlops_operator_list_age_seconds", "Age of the last complete list")
DEPENDENCY_UP = Gauge("mlops_operator_dependency_up", "1 when it answers its health check, else 0", ["dependency"])

SECONDS = (1, 5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800, 86400)
RUN_SECONDS = Histogram(
    "trainingrun_seconds",
    "From the Job's making to the end of a run, by the reason of its end",
    ["outcome"],
    buckets=SECONDS,
)
STAGE_SECONDS = Histogram(
    "trainingrun_stage_seconds",
    "Duration of a stage in one attempt; outcome is computed, pulled, failed or stopped",
    ["stage", "outcome"],
    buckets=SECONDS,
)
RECENT = timedelta(days=1)
"""How long after its end a run is told of by name."""

Resource = Mapping[str, Any]
Resources = Callable[[], Iterable[Resource]]
PROGRESS = {
    "trainingrun_progress_ratio": ("percent", 0.01, "How far the present stage is, 0 to 1"),
    "trainingrun_epoch": ("epoch", 1.0, "The last whole epoch"),
    "trainingrun_val_accuracy": ("valAccuracy", 1.0, "Accuracy on the validation split, 0 to 1"),
}
"""What a run at work says of itself: field of status.progress, factor, help."""
NAMED = ("resource_namespace", "name")
TOLD = ("reason", "stage", "version")


def serve(port: int, runs: Resources, servers: Resources) -> None:
    """Answer /metrics on all addresses; raises OSError when the port is taken. Both give the present ones."""
    REGISTRY.register(RunCollector(runs))
    REGISTRY.register(ServerCollector(servers))
    start_http_server(port)


def observe_run(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Count what a status has that the one before had not: stages that ended, the end of the run."""
    known = {attempt["number"]: attempt for attempt in before.get("attempts", ())}
    for attempt in after.get("attempts", ()):
        old = known.get(attempt["number"], {}).get("stageSeconds", {})
        for stage, seconds in attempt.get("stageSeconds", {}).items():
            if stage not in old:
                STAGE_SECONDS.labels(stage, stage_outcome(attempt, stage)).observe(seconds)
    if finished(after) and not finished(before):
        begun, ended = after.get("startTime"), after["completionTime"]
        seconds = (parse_time(ended) - parse_time(begun)).total_seconds() if begun else 0.0
        RUN_SECONDS.labels(succeeded_reason(after)).observe(seconds)


def stage_outcome(attempt: Mapping[str, Any], stage: str) -> str:
    """How a stage of an attempt ended: the last one as the attempt did, the others well."""
    last = list(attempt["stageSeconds"])[-1]
    reason = attempt.get("reason", "Completed")
    if stage == last and reason in TAKEN_AWAY | HELD:
        return "stopped"
    if stage == last and reason != "Completed":
        return "failed"
    pulled = {name.lower() for name in attempt.get("pulled", ())}
    return "pulled" if stage in pulled else "computed"


class RunCollector(Collector):
    """How many runs there are by reason, and those by name that are at work or ended within RECENT."""

    def __init__(self, runs: Resources) -> None:
        self._runs = runs

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The families, made anew at each scrape."""
        runs, since = tuple(self._runs()), datetime.now(UTC) - RECENT
        tally = Tally((run["metadata"]["namespace"], succeeded_reason(run.get("status", {}))) for run in runs)
        count = _gauge("trainingruns", "TrainingRuns by reason of Succeeded", "resource_namespace", "reason")
        for labels, number in sorted(tally.items()):
            count.add_metric(labels, number)
        info = _gauge("trainingrun_info", "1 for each run at work or ended within a day", *NAMED, *TOLD)
        end = _gauge("trainingrun_end_timestamp_seconds", "When a run of the last day ended", *NAMED, "succeeded")
        progress = {name: _gauge(name, text, *NAMED) for name, (_, _, text) in PROGRESS.items()}
        for run in runs:
            named, status = _named(run), run.get("status", {})
            if not finished(status):
                _tell_progress(progress, named, status.get("progress", {}))
            elif (ended := parse_time(status["completionTime"])) < since:
                continue
            else:
                end.add_metric((*named, _succeeded(status)), ended.timestamp())
            told = (succeeded_reason(status), status.get("stage", ""), status.get("version", ""))
            info.add_metric((*named, *told), 1)
        yield from (count, info, end, *progress.values())


def _tell_progress(families: Mapping[str, GaugeMetricFamily], named: tuple[str, str], said: Mapping[str, Any]) -> None:
    for name, (field, factor, _) in PROGRESS.items():
        if field in said:
            families[name].add_metric(named, float(said[field]) * factor)


def _succeeded(status: Mapping[str, Any]) -> str:
    condition = get_condition(status.get("conditions", ()), "Succeeded")
    return str(condition["status"]) if condition else "Unknown"


class ServerCollector(Collector):
    """Each condition of each ModelServer, and how many replicas of it are ready."""

    def __init__(self, servers: Resources) -> None:
        self._servers = servers

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The families, made anew at each scrape."""
        text = "1 when the condition of a ModelServer is True, else 0"
        held = _gauge("modelserver_condition", text, *NAMED, "condition", "reason")
        ready = _gauge("modelserver_ready_replicas", "Ready pods of a ModelServer", *NAMED)
        for server in self._servers():
            named, status = _named(server), server.get("status", {})
            ready.add_metric(named, status.get("readyReplicas", 0))
            for condition in status.get("conditions", ()):
                labels = (*named, condition["type"], condition["reason"])
                held.add_metric(labels, float(condition["status"] == "True"))
        yield from (held, ready)


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, labels=labels)


def _named(resource: Resource) -> tuple[str, str]:
    return resource["metadata"]["namespace"], resource["metadata"]["name"]
