"""What the judge is told, read once from the environment that the operator gives the Job.
It must not read the environment later, nor guess what a wrong value could have meant."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from catsdogs.errors import config_error

POLICIES = ("Compare", "Minimum", "None")
METRICS = ("accuracy", "balancedAccuracy", "rocAuc")
INCONCLUSIVE = ("Accept", "Refuse")
DIGEST = re.compile(r"[0-9a-f]{64}")
SHARE = re.compile(r"0(\.\d{1,6})?|1(\.0{1,6})?")
HINT = "the operator sets it from the ModelServer's spec: use an operator and a server image of the same release"


@dataclass(frozen=True)
class Address:
    """An object of Cloud Storage, or a prefix."""

    bucket: str
    path: str

    def __str__(self) -> str:
        return f"gs://{self.bucket}/{self.path}"


@dataclass(frozen=True)
class ModelFile:
    """Where a model.pt lies, and the SHA-256 (hex) that it must have."""

    address: Address
    sha256: str


@dataclass(frozen=True)
class Settings:
    """One judgement. `minimum` and `max_regression` are on the metric's scale, 0..1.

    `serving` is None for the first model ever; `candidate_url` is "" for no smoke requests; `eval_set` is "" when
    the candidate's own test split is to be frozen; `smoke_max_millis` is 0 for no limit.
    """

    candidate: ModelFile
    serving: ModelFile | None
    report: Address
    candidate_url: str = ""
    policy: str = "Compare"
    metric: str = "accuracy"
    minimum: float = 0.0
    max_regression: float = 0.0
    inconclusive: str = "Accept"
    eval_set: str = ""
    smoke_max_millis: float = 0.0


def from_environment(env: Mapping[str, str]) -> Settings:
    """Settings from the GATE_ variables. Raises StageError 78 naming the first that can't be used."""
    candidate = _model(env, "CANDIDATE")
    if candidate is None:
        raise config_error("GATE_CANDIDATE_URI is not set", HINT)
    return Settings(
        candidate=candidate,
        serving=_model(env, "SERVING"),
        report=_address(env, "GATE_REPORT"),
        candidate_url=_matched(env, "GATE_CANDIDATE_URL", re.compile(r"(http://[^/\s]+)?/?")).rstrip("/"),
        policy=_one_of(env, "GATE_POLICY", POLICIES),
        metric=_one_of(env, "GATE_METRIC", METRICS),
        minimum=float(_matched(env, "GATE_MINIMUM", SHARE, "0")),
        max_regression=float(_matched(env, "GATE_MAX_REGRESSION", SHARE, "0")),
        inconclusive=_one_of(env, "GATE_INCONCLUSIVE", INCONCLUSIVE),
        eval_set=_matched(env, "GATE_EVAL_SET", re.compile(f"({DIGEST.pattern})?")),
        smoke_max_millis=float(_matched(env, "GATE_SMOKE_MAX_MILLIS", re.compile(r"\d{1,7}(\.\d{1,3})?"), "0")),
    )


def _model(env: Mapping[str, str], which: str) -> ModelFile | None:
    if not env.get(f"GATE_{which}_URI"):
        return None
    return ModelFile(_address(env, f"GATE_{which}_URI"), _matched(env, f"GATE_{which}_SHA256", DIGEST))


def _address(env: Mapping[str, str], name: str) -> Address:
    bucket, path = _matched(env, name, re.compile(r"gs://[^/\s]+/\S+")).removeprefix("gs://").split("/", 1)
    return Address(bucket, path)


def _one_of(env: Mapping[str, str], name: str, allowed: tuple[str, ...]) -> str:
    return _matched(env, name, re.compile("|".join(allowed)), allowed[0])


def _matched(env: Mapping[str, str], name: str, pattern: re.Pattern[str], default: str = "") -> str:
    value = env.get(name) or default
    if not pattern.fullmatch(value):
        raise config_error(f"{name} is {value[:200]!r}, which is not {pattern.pattern}", HINT)
    return value
