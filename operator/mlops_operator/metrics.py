"""The operator's own metrics for Prometheus, and those of the runs it looks after.

Only counted here; nothing reads them back. What is told of single runs is read from the store at each scrape, so that
a deleted run leaves no series behind.
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
from mlops_operator.status.reasons import TAKEN_AWAY
from mlops_operator.status.run import finished, succeeded_reason

PASSES = Counter("mlops_operator_reconcile", "Passes of reconcile by kind and outcome", ["kind", "outcome"])
PASS_SECONDS = Histogram("mlops_operator_reconcile_seconds", "Duration of a pass", ["kind"])
QUEUED = Gauge("mlops_operator_queue", "Resources that wait for a pass")
WRITES = Counter("mlops_operator_writes", "Writes to the API server by verb and kind", ["verb", "kind"])
LIST_AGE = Gauge("mlops_operator_list_age_seconds", "Age of the last complete list")

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
Runs = Callable[[], Iterable[Resource]]


def serve(port: int, runs: Runs) -> None:
    """Answer /metrics on all addresses; raises OSError when the port is taken. `runs` gives the present ones."""
    REGISTRY.register(RunCollector(runs))
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

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The families, made anew at each scrape."""
        count = GaugeMetricFamily("trainingruns", "TrainingRuns by reason of Succeeded", labels=["namespace", "reason"])
        info = GaugeMetricFamily(
            "trainingrun_info",
            "1 for each run at work or ended within a day",
            labels=["namespace", "name", "reason", "stage", "version"],
        )
        tally: Tally[tuple[str, str]] = Tally()
        since = datetime.now(UTC) - RECENT
        for run in self._runs():
            metadata, status = run["metadata"], run.get("status", {})
            reason = succeeded_reason(status)
            tally[metadata["namespace"], reason] += 1
            if not finished(status) or parse_time(status["completionTime"]) >= since:
                told = (reason, status.get("stage", ""), status.get("version", ""))
                info.add_metric((metadata["namespace"], metadata["name"], *told), 1)
        for labels, number in sorted(tally.items()):
            count.add_metric(labels, number)
        yield count
        yield info
