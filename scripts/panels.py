"""The panels of the dashboards: what each asks of Prometheus, and what it says. `scripts.dashboards` makes files of it.

It must not know what Grafana or Cloud Monitoring look like.
"""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Query:
    """A PromQL expression, and what a line of its answer is called: text with {{label}} in it."""

    expr: str
    legend: str


@dataclass(frozen=True)
class Panel:
    """One panel; `unit` is Grafana's word, `kind` timeseries, stacked or table."""

    title: str
    says: str
    queries: tuple[Query, ...]
    unit: str = "short"
    kind: str = "timeseries"


@dataclass(frozen=True)
class Dashboard:
    """One dashboard; the choice of namespaces is offered from the values of `namespaces`, a label_values query."""

    name: str
    title: str
    namespaces: str
    panels: tuple[Panel, ...]


def _panel(title: str, says: str, expr: str, legend: str, unit: str = "short", kind: str = "timeseries") -> Panel:
    return Panel(title, says, (Query(expr, legend),), unit, kind)


def _quantiles(title: str, says: str, bucket: str, by: str = "") -> Panel:
    """Median, 95th and 99th percentile of a histogram's buckets, in seconds."""
    rate = f"sum by ({by}le) (rate({bucket}[5m]))"
    levels = ((0.5, "median"), (0.95, "95 %"), (0.99, "99 %"))
    return Panel(title, says, tuple(Query(f"histogram_quantile({q}, {rate})", text) for q, text in levels), "s")


SERVER = '{namespace=~"$namespace"}'
REQUESTS = "http_server_request_duration_seconds"
PREDICT = '{http_route="/predict", http_response_status_code="200", namespace=~"$namespace"}'
RUN = '{resource_namespace=~"$namespace"}'
WHICH = "{{namespace}}/{{model_server}}"
ENDED = 'rate(trainingrun_seconds_bucket{outcome="Completed"}[1d])'
STAGES = 'rate(trainingrun_stage_seconds_bucket{outcome="computed"}[1d])'
PASSES = "rate(mlops_operator_reconcile_seconds_bucket[5m])"
OF = "{{resource_namespace}}/{{name}}"

API = Dashboard(
    "api",
    "cats-dogs: model servers",
    f"label_values({REQUESTS}_count, namespace)",
    (
        _panel(
            "Requests",
            "A second, by route and status.",
            f"sum by (http_route, http_response_status_code) (rate({REQUESTS}_count{SERVER}[5m]))",
            "{{http_route}} {{http_response_status_code}}",
            "reqps",
            "stacked",
        ),
        Panel(
            "Failed requests",
            "The share of requests for a prediction that was answered 5xx; the objective is 0.5 %.",
            (
                Query(f"model_server:error_ratio:rate5m{SERVER}", f"{WHICH} 5 min"),
                Query(f"model_server:error_ratio:rate1h{SERVER}", f"{WHICH} 1 h"),
                Query(f"model_server:error_ratio:rate3d{SERVER}", f"{WHICH} 3 days"),
            ),
            "percentunit",
        ),
        _quantiles(
            "Time to answer",
            "Of /predict, from the request's headers to the answer's end.",
            f"{REQUESTS}_bucket{PREDICT}",
        ),
        _panel(
            "Slow answers",
            "The share of /predict that took longer than half a second; 5 % may.",
            f"model_server:slow_ratio:rate10m{SERVER}",
            WHICH,
            "percentunit",
        ),
        Panel(
            "Where the time goes",
            "Mean seconds of a picture in decoding and in the network.",
            tuple(
                Query(
                    f"sum(rate(catsdogs_{step}_seconds_sum{SERVER}[5m]))"
                    f" / sum(rate(catsdogs_{step}_seconds_count{SERVER}[5m]))",
                    step,
                )
                for step in ("decode", "forward")
            ),
            "s",
        ),
        _panel(
            "Pictures that wait",
            "Accepted and not yet answered, over all pods.",
            f"sum by (namespace, model_server) (catsdogs_queue_depth{SERVER})",
            WHICH,
        ),
        _panel(
            "Refused",
            "Requests and pictures a second that got no prediction, by reason.",
            f"sum by (reason) (rate(catsdogs_refused_total{SERVER}[5m]))",
            "{{reason}}",
            "reqps",
            "stacked",
        ),
        Panel(
            "Answers by class",
            "Shares of the last 6 hours, beside those of the 7 days before.",
            (
                Query(f"model_server:class_share:increase6h{SERVER}", f"{WHICH} {{{{label}}}}"),
                Query(f"model_server:class_share:increase7d{SERVER}", f"{WHICH} {{{{label}}}} before"),
            ),
            "percentunit",
        ),
        Panel(
            "Confidence",
            "Mean probability of the answered class: the last 6 hours, beside the 7 days before.",
            (
                Query(f"model_server:confidence:mean6h{SERVER}", WHICH),
                Query(f"model_server:confidence:mean7d{SERVER}", f"{WHICH} before"),
            ),
            "percentunit",
        ),
        _panel(
            "Pods by model",
            "Pods with a verified model, by its version: two at once while a new one rolls out.",
            f"sum by (namespace, model_server, version) (model_info{SERVER})",
            f"{WHICH} {{{{version}}}}",
            kind="stacked",
        ),
        _panel(
            "Memory",
            "Resident bytes of each pod.",
            'process_resident_memory_bytes{model_server!="", namespace=~"$namespace"}',
            "{{pod}}",
            "bytes",
        ),
        _panel(
            "Processor time",
            "Cores that each pod uses.",
            'rate(process_cpu_seconds_total{model_server!="", namespace=~"$namespace"}[5m])',
            "{{pod}}",
        ),
    ),
)

TRAINING = Dashboard(
    "training",
    "cats-dogs: training runs",
    "label_values(trainingruns, resource_namespace)",
    (
        _panel(
            "Runs by reason",
            "Where all TrainingRuns stand: the reason of their condition Succeeded.",
            f"sum by (reason) (trainingruns{RUN})",
            "{{reason}}",
            kind="stacked",
        ),
        _panel(
            "Ended runs",
            "Runs that ended in an hour, by the reason of their end.",
            "sum by (outcome) (increase(trainingrun_seconds_count[1h]))",
            "{{outcome}}",
            kind="stacked",
        ),
        _panel(
            "Progress of a stage",
            "How far the present stage of each run at work is.",
            f"trainingrun_progress_ratio{RUN}",
            OF,
            "percentunit",
        ),
        _panel(
            "Validation accuracy",
            "Of each run at work, after each epoch.",
            f"trainingrun_val_accuracy{RUN}",
            OF,
            "percentunit",
        ),
        _panel("Epochs", "Whole epochs of each run at work.", f"trainingrun_epoch{RUN}", OF),
        Panel(
            "Duration of a run",
            "Of a day's completed runs, from the Job's making to the end.",
            tuple(
                Query(f"histogram_quantile({q}, sum by (le) ({ENDED}))", text)
                for q, text in ((0.5, "median"), (0.95, "95 %"))
            ),
            "s",
        ),
        _panel(
            "Duration of a stage",
            "Median of a day, where it was computed and not reused.",
            f"histogram_quantile(0.5, sum by (stage, le) ({STAGES}))",
            "{{stage}}",
            "s",
        ),
        _panel(
            "How stages ended",
            "In an hour: computed, pulled from elsewhere, failed, or stopped from outside.",
            "sum by (outcome) (increase(trainingrun_stage_seconds_count[1h]))",
            "{{outcome}}",
            kind="stacked",
        ),
        _panel(
            "Runs at work, and those ended within a day",
            "One line a run.",
            f"trainingrun_info{RUN}",
            "",
            kind="table",
        ),
    ),
)

OPERATOR = Dashboard(
    "operator",
    "cats-dogs: operator",
    "label_values(modelserver_condition, resource_namespace)",
    (
        Panel(
            "Is it there?",
            "1 while it is scraped; and whether MLflow answers it.",
            (
                Query('max(up{job="mlops-operator"})', "operator"),
                Query("min by (dependency) (mlops_operator_dependency_up)", "{{dependency}}"),
            ),
        ),
        _panel(
            "Age of the last complete list",
            "Above 180 s the operator restarts.",
            "max(mlops_operator_list_age_seconds)",
            "age",
            "s",
        ),
        _panel(
            "Passes and errors",
            "A second, by kind and outcome; one that ends in an error is tried again with backoff.",
            "sum by (kind, outcome) (rate(mlops_operator_reconcile_total[5m]))",
            "{{kind}} {{outcome}}",
            "ops",
        ),
        _panel(
            "Duration of a pass",
            "99th percentile by kind.",
            f"histogram_quantile(0.99, sum by (kind, le) ({PASSES}))",
            "{{kind}}",
            "s",
        ),
        _panel("Queue", "Resources that wait for a pass.", "sum(mlops_operator_queue)", "waiting"),
        _panel(
            "Writes to the API server",
            "By verb and kind; a settled cluster has none.",
            "sum by (verb, kind) (rate(mlops_operator_writes_total[5m]))",
            "{{verb}} {{kind}}",
            "ops",
            "stacked",
        ),
        _panel(
            "Ready replicas",
            "Pods of each ModelServer that answer with a verified model.",
            f"sum by (resource_namespace, name) (modelserver_ready_replicas{RUN})",
            OF,
        ),
        _panel(
            "Conditions of model servers",
            "1 is True; the reason says more.",
            f"modelserver_condition{RUN}",
            "",
            kind="table",
        ),
        _panel(
            "Memory",
            "Resident bytes of the operator.",
            'process_resident_memory_bytes{job="mlops-operator"}',
            "{{pod}}",
            "bytes",
        ),
        _panel(
            "Processor time",
            "Cores that the operator uses.",
            'rate(process_cpu_seconds_total{job="mlops-operator"}[5m])',
            "{{pod}}",
        ),
    ),
)
DASHBOARDS = (API, TRAINING, OPERATOR)


def queries() -> Iterator[str]:
    """Every expression of every dashboard, with its $namespace."""
    for dashboard in DASHBOARDS:
        for panel in dashboard.panels:
            yield from (query.expr for query in panel.queries)
