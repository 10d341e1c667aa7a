"""What a ModelServer's status says in each state of its world. The whole status is written out once."""

from collections.abc import Mapping
from typing import Any

import pytest

from mlops_operator.api.model_server import Observed
from mlops_operator.api.settings import Settings
from mlops_operator.reconcile.model_server import reconcile
from mlops_operator.reconcile.plan import Event, Plan
from tests.unit.operator.model_server_world import (
    IMAGE,
    NOW,
    SETTINGS,
    THEN,
    A,
    B,
    applied,
    deployed,
    pod,
    record,
    run,
    said,
    server,
)

SPEC: Mapping[str, Any] = {"modelFrom": {"trainingRun": "demo"}}
DONE = run("demo", "True", "Completed", sha256=A)
BALANCED = {"status": {"loadBalancer": {"ingress": [{"ip": "10.0.0.9"}]}}}
SERVING = {
    "observedGeneration": 1,
    "conditions": [
        {
            "type": kind,
            "status": "True",
            "reason": reason,
            "message": message,
            "observedGeneration": 1,
            "lastTransitionTime": "2026-01-02T03:04:05Z",
        }
        for kind, reason, message in (
            ("Ready", "Serving", "model aaaa answers from 1 pod"),
            ("Settled", "Served", "model aaaa of TrainingRun demo serves on all pods"),
            ("Monitored", "PodMonitoringApplied", "PodMonitoring pets scrapes /metrics every 30s"),
        )
    ],
    "model": record(A, "demo"),
    "decidedFor": "demo",
    "url": "http://10.0.0.9/",
    "replicas": 1,
    "readyReplicas": 1,
    "selector": "app.kubernetes.io/instance=pets,app.kubernetes.io/name=cats-dogs-api",
}


def serving(run_: Mapping[str, Any] = DONE, **spec: Any) -> Observed:
    """A world in which the model of `run_` is rolled out."""
    seen = Observed(training_runs=(run_,))
    deployment = deployed(server({**SPEC, **spec}), seen)
    return Observed(deployment=deployment, service=BALANCED, pods=(pod(deployment),), training_runs=(run_,))


def test_whole_status_of_a_served_model() -> None:
    plan = reconcile(server(SPEC), serving(), SETTINGS, NOW)
    assert plan.status == SERVING
    assert [event.reason for event in plan.events] == ["Serving", "Served", "PodMonitoringApplied"]


def test_nothing_changes_on_a_second_pass() -> None:
    plan = reconcile(server(SPEC, SERVING), serving(), SETTINGS, NOW.replace(hour=9))
    assert (plan.status, plan.events, plan.delete, plan.requeue_after) == (SERVING, (), (), None)


def test_before_any_model_there_is_nothing_but_the_reason() -> None:
    plan = reconcile(server(SPEC), Observed(training_runs=(run("demo", "Unknown", "Training"),)), SETTINGS, NOW)
    assert plan.apply == ()
    message = "TrainingRun demo is at work: Training"
    assert said(plan, "Ready") == ("False", "WaitingForTrainingRun", message)
    assert said(plan, "Settled") == ("False", "WaitingForTrainingRun", message)
    assert said(plan, "Monitored") == ("False", "NothingToMonitor", "there are no pods to scrape")
    assert plan.status is not None
    assert not {"model", "url", "decidedFor"} & plan.status.keys()


@pytest.mark.parametrize(
    ("next_run", "reason", "words"),
    [
        ((), "WaitingForTrainingRun", "TrainingRun next does not exist"),
        ((run("next", "Unknown", "Pending"),), "WaitingForTrainingRun", "TrainingRun next is at work: Pending"),
        ((run("next", "False", "OOMKilled"),), "TrainingRunFailed", "TrainingRun next failed: OOMKilled"),
    ],
)
def test_what_is_served_stays_while_the_next_run_gives_no_model(
    next_run: tuple[dict[str, Any], ...], reason: str, words: str
) -> None:
    before = serving()
    after = server({"modelFrom": {"trainingRun": "next"}}, SERVING, generation=2)
    seen = Observed(before.deployment, before.service, before.pods, (DONE, *next_run))
    plan = reconcile(after, seen, SETTINGS, NOW)
    assert said(plan, "Ready") == ("True", "Serving", "model aaaa answers from 1 pod")
    status, why, message = said(plan, "Settled")
    assert (status, why) == ("False", reason)
    assert message.startswith(words)
    assert message.endswith("; model aaaa stays")
    template = applied(plan, "Deployment")["spec"]["template"]
    assert before.deployment is not None
    assert template == before.deployment["spec"]["template"]
    assert plan.status is not None
    assert plan.status["decidedFor"] == "demo"


def test_a_roll_is_ready_with_the_old_model_and_settled_only_with_the_new_on_all_pods() -> None:
    before = serving()
    following_spec = {"modelFrom": {"trainingRun": "next"}}
    following = server(following_spec, SERVING, generation=2)
    runs = (DONE, run("next", "True", "Completed", sha256=B))
    assert before.deployment is not None
    new = deployed(following, Observed(before.deployment, training_runs=runs))

    seen_too_early = Observed(before.deployment, BALANCED, before.pods, runs)
    plan = reconcile(following, seen_too_early, SETTINGS, NOW)
    assert said(plan, "Settled") == ("False", "RollingOut", "model bbbb is let in (GateOff) and rolls out")
    assert plan.status is not None
    following = server(following_spec, plan.status, generation=2)

    both = (pod(before.deployment), pod(new))
    plan = reconcile(following, Observed(new, BALANCED, both, runs), SETTINGS, NOW)
    assert plan.status is not None
    assert plan.status["model"] == record(A, "demo")
    assert said(plan, "Ready")[0] == "True"
    assert said(plan, "Settled")[:2] == ("False", "RollingOut")

    plan = reconcile(following, Observed(new, BALANCED, (pod(new),), runs), SETTINGS, NOW)
    assert plan.status is not None
    assert (plan.status["model"], plan.status["decidedFor"]) == (record(B, "next"), "next")
    assert said(plan, "Settled") == ("True", "Served", "model bbbb of TrainingRun next serves on all pods")


def test_a_pod_that_starts_anew_undoes_no_decision() -> None:
    seen = serving(replicas=2)
    resource = server({**SPEC, "replicas": 2}, SERVING)
    half = deployed(resource, seen, ready=1)
    pods = (pod(half), pod(half, ready=False))
    plan = reconcile(resource, Observed(half, BALANCED, pods, (DONE,)), SETTINGS, NOW)
    assert said(plan, "Ready")[2] == "model aaaa answers from 1 pod"
    assert said(plan, "Settled")[0] == "True"


def test_a_second_run_with_the_same_model_is_decided_without_a_roll() -> None:
    seen = serving()
    twin = run("twin", "True", "Reused", sha256=A)
    resource = server({"modelFrom": {"trainingRun": "twin"}}, SERVING, generation=2)
    plan = reconcile(resource, Observed(seen.deployment, BALANCED, seen.pods, (DONE, twin)), SETTINGS, NOW)
    assert plan.status is not None
    assert plan.status["decidedFor"] == "twin"
    assert seen.deployment is not None
    assert applied(plan, "Deployment")["spec"]["template"] == seen.deployment["spec"]["template"]


@pytest.mark.parametrize(
    ("container", "reason", "message"),
    [
        (
            {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image x"}}},
            "ImagePullBackOff",
            "pod pets-1: Back-off pulling image x",
        ),
        (
            {
                "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}},
                "lastState": {
                    "terminated": {
                        "exitCode": 1,
                        "message": '{"message": "SHA-256 differs", "hint": "publish the model again"}',
                    }
                },
            },
            "CrashLoopBackOff",
            "pod pets-1: SHA-256 differs. publish the model again (exit code 1)",
        ),
        (
            {
                "state": {"running": {}},
                "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled", "message": ""}},
            },
            "OOMKilled",
            "pod pets-1 ended and starts again: exit code 137",
        ),
    ],
)
def test_a_pods_trouble_is_the_reason(container: dict[str, Any], reason: str, message: str) -> None:
    deployment = deployed(server(SPEC), Observed(training_runs=(DONE,)), ready=0)
    ill = pod(deployment, ready=False, containerStatuses=[container])
    seen = Observed(deployment, BALANCED, (ill,), (DONE,))
    plan = reconcile(server(SPEC), seen, SETTINGS, NOW)
    assert said(plan, "Ready") == ("False", reason, message)
    assert said(plan, "Settled") == ("False", reason, f"model aaaa does not roll: {message}")


def test_a_pod_on_its_way_is_no_trouble() -> None:
    deployment = deployed(server(SPEC), Observed(training_runs=(DONE,)), ready=0)
    starting = pod(deployment, False, containerStatuses=[{"state": {"waiting": {"reason": "ContainerCreating"}}}])
    plan = reconcile(server(SPEC), Observed(deployment, BALANCED, (starting,), (DONE,)), SETTINGS, NOW)
    assert said(plan, "Ready") == (
        "False",
        "Starting",
        "no pod is ready yet: model aaaa is being loaded and checked",
    )
    assert [event for event in plan.events if event.type == "Warning"] == []


def test_a_deployment_that_can_make_no_pod_says_so() -> None:
    deployment = deployed(server(SPEC), Observed(training_runs=(DONE,)), ready=0)
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota"}
    deployment["status"]["conditions"] = [failure]
    plan = reconcile(server(SPEC), Observed(deployment, training_runs=(DONE,)), SETTINGS, NOW)
    assert said(plan, "Ready") == ("False", "FailedCreate", "exceeded quota")


def test_stop_keeps_everything_but_the_pods() -> None:
    seen = serving()
    plan = reconcile(server({**SPEC, "stop": True}, SERVING, generation=2), seen, SETTINGS, NOW)
    assert said(plan, "Ready") == ("False", "Stopped", "spec.stop is true: set it to false to serve again")
    assert applied(plan, "Deployment")["spec"]["replicas"] == 0
    assert plan.status is not None
    assert (plan.status["model"], plan.status["url"]) == (record(A, "demo"), "http://10.0.0.9/")
    assert plan.events[0] == Event("Normal", "Stopped", "Ready: spec.stop is true: set it to false to serve again")


def test_an_image_that_is_not_allowed_changes_nothing_that_runs() -> None:
    seen = serving()
    foreign = "docker.example/server@sha256:" + "2" * 64
    resource = server({**SPEC, "image": foreign}, SERVING, generation=2)
    plan = reconcile(resource, seen, SETTINGS, NOW)
    message = f"spec.image {foreign} is from no allowed registry; allowed: registry.example/"
    assert said(plan, "Settled") == ("False", "ImageNotAllowed", message)
    assert said(plan, "Ready")[0] == "True"
    assert applied(plan, "Deployment")["spec"]["template"]["spec"]["containers"][0]["image"] == IMAGE

    fresh = reconcile(resource, Observed(training_runs=(DONE,)), SETTINGS, NOW)
    assert fresh.apply == ()
    assert said(fresh, "Ready") == ("False", "ImageNotAllowed", message)


def test_no_image_at_all_names_the_setting() -> None:
    plan = reconcile(server(SPEC), Observed(training_runs=(DONE,)), Settings(namespaces=("team",)), NOW)
    assert said(plan, "Ready") == (
        "False",
        "NoImage",
        "neither spec.image nor the operator's setting SERVER_IMAGE gives a server image",
    )


def kinds(plan: Plan) -> list[str]:
    return [child["kind"] for child in plan.apply]


def test_without_the_kind_pod_monitoring_all_else_works_and_a_condition_says_so() -> None:
    seen = serving()
    missing = Observed(seen.deployment, BALANCED, seen.pods, (DONE,), podmonitoring_available=False)
    plan = reconcile(server(SPEC), missing, SETTINGS, NOW)
    assert kinds(plan) == ["Service", "PodDisruptionBudget", "NetworkPolicy", "Deployment"]
    assert said(plan, "Ready")[0] == "True"
    assert said(plan, "Monitored") == (
        "False",
        "PodMonitoringMissing",
        "this cluster has no kind PodMonitoring: nothing scrapes /metrics",
    )


def test_a_new_condition_keeps_the_time_of_its_last_change() -> None:
    old = {"conditions": [{**SERVING["conditions"][0], "lastTransitionTime": THEN}]}  # type: ignore[index]
    plan = reconcile(server(SPEC, old), serving(), SETTINGS, NOW)
    assert plan.status is not None
    assert plan.status["conditions"][0]["lastTransitionTime"] == THEN


def test_url_inside_the_cluster() -> None:
    seen = serving()
    plan = reconcile(server({**SPEC, "expose": {"type": "ClusterIP"}}), seen, SETTINGS, NOW)
    assert plan.status is not None
    assert plan.status["url"] == "http://pets.team.svc/"
