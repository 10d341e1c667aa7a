"""The ModelServer as the operator sees it: its spec parsed once, and what was observed of its world.

Defaults are the CRD's, which the API server has filled in; nothing here decides anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlops_operator.api.gate import PROMOTE, PROMOTE_BY, PROMOTE_REASON, RETRY, Admission, Traffic, parse_admission

API_VERSION = "mlops.cats-dogs.io/v1alpha1"
KIND = "ModelServer"


@dataclass(frozen=True)
class ModelFrom:
    """Where the model comes from: `training_run`, `match_labels` or `uri` with `sha256`; the rest empty."""

    training_run: str = ""
    match_labels: Mapping[str, str] = field(default_factory=dict)
    uri: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class Autoscaling:
    """Bounds of the number of pods, and the mean CPU use aimed at in percent of the request."""

    min_replicas: int
    max_replicas: int
    target_cpu_utilization: int


@dataclass(frozen=True)
class Expose:
    """How clients reach the server: `type` LoadBalancer, InternalLoadBalancer or ClusterIP; a reserved `address`;
    a `gateway` (NAME or NAMESPACE/NAME) with the `hostname` that it routes. "" where not given."""

    type: str = "LoadBalancer"
    address: str = ""
    gateway: str = ""
    hostname: str = ""


@dataclass(frozen=True)
class Promotion:
    """An override of the gate: the run or digest that shall get in, by whom and why."""

    what: str = ""
    who: str = ""
    why: str = ""


@dataclass(frozen=True)
class ModelServer:
    """One ModelServer. `replicas` counts only without `autoscaling`; `image` "" means the operator's own.

    `rollback_to` is the beginning of a digest or a number of `status.history`; `retry`, `promote` (what, by
    whom, why) are annotations.
    """

    name: str
    namespace: str
    uid: str
    generation: int
    model_from: ModelFrom
    image: str = ""
    replicas: int = 1
    autoscaling: Autoscaling | None = None
    cpu: str = "500m"
    memory: str = "1Gi"
    expose: Expose = field(default_factory=Expose)
    stop: bool = False
    admission: Admission = field(default_factory=Admission)
    rollback_to: str = ""
    history_limit: int = 10
    retry: str = ""
    promote: Promotion = field(default_factory=Promotion)
    status: Mapping[str, Any] = field(default_factory=dict)

    @property
    def scaled_to_zero(self) -> bool:
        """Whether the spec asks for no pods."""
        return self.replicas == 0 and self.autoscaling is None

    def identity(self) -> dict[str, Any]:
        """What an owner reference needs of this resource."""
        metadata = {"name": self.name, "namespace": self.namespace, "uid": self.uid}
        return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata}


@dataclass(frozen=True)
class Model:
    """One model file; its SHA-256 is what it is, the rest says where it came from ("" where unknown).

    `test_accuracy` is a decimal string from 0 to 1, as the training recorded it.
    """

    uri: str
    sha256: str
    version: str = ""
    training_run: str = ""
    test_accuracy: str = ""
    git_commit: str = ""


@dataclass(frozen=True)
class Recorded:
    """How far the history is written down outside: the number of the last entry, why no further, and a word on
    MLflow's alias ("" for nothing to say)."""

    through: int = 0
    problem: str = ""
    alias: str = ""


@dataclass(frozen=True)
class Observed:
    """What was seen of one ModelServer's world; each object is as the API server gives it, None where absent.

    `pods` are those that carry the Deployment's selector labels, `training_runs` all of the namespace. The
    Deployment comes with its `managedFields`. `model` is what `model.json` beside `modelFrom.uri` holds.
    `candidate` and `judge` are the candidate's Deployment and the gate's Job, with their pods; `verdict` is
    the judge's report in the bucket, asked for when its pod is gone; `taken` names an object of somebody else
    that stands where one of these two would. `traffic` is what the pods have answered,
    by UID, `complaints` why pods are not ready in their own words, `excuses` the same where the model is not to blame.
    """

    deployment: Mapping[str, Any] | None = None
    service: Mapping[str, Any] | None = None
    pods: tuple[Mapping[str, Any], ...] = ()
    training_runs: tuple[Mapping[str, Any], ...] = ()
    hpa: Mapping[str, Any] | None = None
    model: Mapping[str, Any] | None = None
    podmonitoring_available: bool = True
    httproute_available: bool = False
    candidate: Mapping[str, Any] | None = None
    candidate_pods: tuple[Mapping[str, Any], ...] = ()
    judge: Mapping[str, Any] | None = None
    judge_pods: tuple[Mapping[str, Any], ...] = ()
    verdict: Mapping[str, Any] | None = None
    taken: str = ""
    traffic: Mapping[str, Traffic] = field(default_factory=dict)
    complaints: Mapping[str, str] = field(default_factory=dict)
    excuses: Mapping[str, str] = field(default_factory=dict)
    recorded: Recorded = field(default_factory=Recorded)


def parse(body: Mapping[str, Any]) -> ModelServer:
    """A ModelServer from its API object. Raises KeyError or TypeError on what the CRD would have refused."""
    metadata, spec = body["metadata"], body["spec"]
    resources, annotations = spec.get("resources") or {}, metadata.get("annotations") or {}
    return ModelServer(
        name=metadata["name"],
        namespace=metadata["namespace"],
        uid=metadata["uid"],
        generation=metadata["generation"],
        model_from=_model_from(spec["modelFrom"]),
        image=spec.get("image", ""),
        replicas=spec.get("replicas", 1),
        autoscaling=_autoscaling(spec.get("autoscaling")),
        cpu=resources.get("cpu", "500m"),
        memory=resources.get("memory", "1Gi"),
        expose=_expose(spec.get("expose") or {}),
        stop=spec.get("stop", False),
        admission=parse_admission(spec),
        rollback_to=spec.get("rollbackTo", ""),
        history_limit=spec.get("historyLimit", 10),
        retry=annotations.get(RETRY, ""),
        promote=Promotion(*(annotations.get(name, "") for name in (PROMOTE, PROMOTE_BY, PROMOTE_REASON))),
        status=body.get("status") or {},
    )


def model_json_uri(server: ModelServer) -> str | None:
    """Where the description of a fixed model lies (`Observed.model`); None for a model that a run makes."""
    uri = server.model_from.uri
    return f"{uri.rpartition('/')[0]}/model.json" if uri else None


def _model_from(given: Mapping[str, Any]) -> ModelFrom:
    return ModelFrom(
        training_run=given.get("trainingRun", ""),
        match_labels=dict((given.get("selector") or {}).get("matchLabels") or {}),
        uri=given.get("uri", ""),
        sha256=given.get("sha256", ""),
    )


def _expose(given: Mapping[str, Any]) -> Expose:
    route = given.get("route") or {}
    return Expose(
        type=given.get("type", "LoadBalancer"),
        address=given.get("address", ""),
        gateway=route.get("gateway", ""),
        hostname=route.get("hostname", ""),
    )


def _autoscaling(given: Mapping[str, Any] | None) -> Autoscaling | None:
    if given is None:
        return None
    return Autoscaling(
        min_replicas=given.get("minReplicas", 1),
        max_replicas=given["maxReplicas"],
        target_cpu_utilization=given.get("targetCPUUtilization", 70),
    )
