"""The server's settings, read once from the environment by one table, which docs/server.md shows too.
It must not read the environment later, nor guess what a wrong value could have meant."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


class ConfigError(ValueError):
    """A setting that can't be used; the message names the variable and what it should be."""


@dataclass(frozen=True)
class Settings:
    """Times are seconds, sizes are bytes. Ports may be 0: then the system chooses."""

    model_uri: str
    model_sha256: str
    model_version: str = ""
    training_run: str = ""
    model_name: str = "cats-dogs"
    tracking_uri: str = ""
    host: str = "0.0.0.0"  # noqa: S104 - a pod is reached from outside itself
    port: int = 8080
    ops_port: int = 8081
    workers: int = 1
    queue_limit: int = 32
    max_upload: int = 10_000_000
    max_pictures: int = 16
    max_buffered: int = 256_000_000
    receive_seconds: float = 10.0
    drain_seconds: float = 5.0
    finish_seconds: float = 15.0
    api_keys_file: str = ""
    rate_per_second: float = 0.0
    rate_burst: int = 20
    trusted_proxies: int = 0
    cors_origins: tuple[str, ...] = ()
    log_level: str = "INFO"
    project: str = ""


@dataclass(frozen=True)
class Variable:
    """An environment variable, the field of Settings that it fills, and for a number the ends of its range."""

    name: str
    field: str
    meaning: str
    least: float = 0
    most: float = 0
    pattern: str = ""
    allowed: str = ""


VARIABLES = (
    Variable("MODEL_URI", "model_uri", "The model: `gs://BUCKET/PATH/model.pt`, `file:///PATH/model.pt`, "
             "`models:/NAME@ALIAS` or `models:/NAME/VERSION` in MLflow's registry"),
    Variable("MODEL_SHA256", "model_sha256", "SHA-256 that the file must have. With `models:/` it may be left out: "
             "then it is the version's tag `modelSha256`"),
    Variable("MODEL_VERSION", "model_version", "What answers call the model; without it, what its `model.json` says"),
    Variable("TRAINING_RUN", "training_run", "The TrainingRun, NAMESPACE/NAME; told, not checked"),
    Variable("MODEL_NAME", "model_name", "The model's name in `/v2/models/NAME`", pattern=r"[A-Za-z0-9._-]{1,63}",
             allowed="1 to 63 letters, digits, '.', '_' or '-'"),
    Variable("MLFLOW_TRACKING_URI", "tracking_uri", "MLflow's address, for `models:/`"),
    Variable("HOST", "host", "Address to listen on"),
    Variable("PORT", "port", "Port of the API; 0 lets the system choose", 0, 65535),
    Variable("OPS_PORT", "ops_port", "Second port with `/health`, `/live` and `/metrics` alone", 0, 65535),
    Variable("WORKERS", "workers", "Pictures worked on at once", 1, 256),
    Variable("QUEUE_LIMIT", "queue_limit", "Pictures that wait; more are answered with 503", 0, 10_000),
    Variable("MAX_UPLOAD_BYTES", "max_upload", "Bytes of all pictures of a request together", 1, 100_000_000),
    Variable("MAX_PICTURES", "max_pictures", "Pictures in one request", 1, 32),
    Variable("MAX_BUFFERED_BYTES", "max_buffered", "Bytes of all uploads in memory", 1, 10_000_000_000),
    Variable("RECEIVE_SECONDS", "receive_seconds", "A request must have come whole within this time", 0.1, 600),
    Variable("DRAIN_SECONDS", "drain_seconds", "After SIGTERM: not ready, still accepting", 0, 600),
    Variable("FINISH_SECONDS", "finish_seconds", "After that: finishing what is accepted", 0, 600),
    Variable("API_KEYS_FILE", "api_keys_file", "File with one API key a line; without it, no key is asked for"),
    Variable("RATE_PER_SECOND", "rate_per_second", "Pictures a second that one client may send; 0 is no limit", 0, 1e6),
    Variable("RATE_BURST", "rate_burst", "Pictures that a client may send at once after a pause", 1, 1e6),
    Variable("TRUSTED_PROXIES", "trusted_proxies", "Proxies in front that each add an address to `X-Forwarded-For`; "
             "0 ignores that header", 0, 10),
    Variable("CORS_ORIGINS", "cors_origins", "Origins whose pages may call the API, separated by commas",
             pattern=r"\*|https?://[^\s,/]+", allowed="* or origins such as https://example.org"),
    Variable("LOG_LEVEL", "log_level", "Least severity that is logged", pattern="DEBUG|INFO|WARNING|ERROR",
             allowed="DEBUG, INFO, WARNING or ERROR"),
    Variable("GOOGLE_CLOUD_PROJECT", "project", "Project of the traces that log lines belong to"),
)  # fmt: skip


def from_env(env: Mapping[str, str]) -> Settings:
    """Settings from the variables of VARIABLES; an empty one counts as not set.

    Raises ConfigError. A wrong MODEL_URI or MODEL_SHA256 is found when the model is loaded, so that the
    server stands and says in /health what is wrong with them.
    """
    defaults = {"model_uri": "", "model_sha256": "", "workers": len(os.sched_getaffinity(0))}
    values: dict[str, Any] = {variable.field: _read(variable, env, defaults) for variable in VARIABLES}
    values["model_sha256"] = values["model_sha256"].lower()
    return Settings(**values)


def _read(variable: Variable, env: Mapping[str, str], defaults: Mapping[str, object]) -> object:
    default = defaults.get(variable.field, getattr(Settings, variable.field, ""))
    text = env.get(variable.name, "").strip()
    if not text:
        return default
    if isinstance(default, int | float):
        return _number(variable, text, type(default))
    if isinstance(default, tuple):
        return tuple(_matching(variable, item.strip()) for item in text.split(",") if item.strip())
    return _matching(variable, text.upper() if variable.field == "log_level" else text)


def _number(variable: Variable, text: str, kind: type[int | float]) -> int | float:
    try:
        value = kind(text)
    except ValueError as error:
        raise ConfigError(f"{variable.name} {text!r} is not a number") from error
    if not variable.least <= value <= variable.most:
        raise ConfigError(f"{variable.name} is {text}, allowed are {variable.least:.12g} to {variable.most:.12g}")
    return value


def _matching(variable: Variable, text: str) -> str:
    if variable.pattern and not re.fullmatch(variable.pattern, text):
        raise ConfigError(f"{variable.name} {text!r} is not {variable.allowed}")
    return text


@dataclass(frozen=True)
class Address:
    """MODEL_URI taken apart: scheme gs, file or models; `place` is the bucket or ""; `path` the rest."""

    scheme: str
    place: str
    path: str


def checked_address(settings: Settings) -> Address:
    """Raises ConfigError, also when MODEL_SHA256 is no SHA-256."""
    uri, digest = settings.model_uri, settings.model_sha256
    if not uri:
        raise ConfigError("MODEL_URI is not set: give gs://BUCKET/PATH/model.pt or file:///PATH/model.pt")
    address = _address(uri)
    told_elsewhere = address.scheme == "models" and not digest
    if not told_elsewhere and not re.fullmatch("[0-9a-f]{64}", digest):
        raise ConfigError("MODEL_SHA256 is not 64 hex digits: without it no model can be trusted")
    if address.scheme == "models" and not re.match("https?://", settings.tracking_uri):
        raise ConfigError(f"MODEL_URI {uri!r} needs MLFLOW_TRACKING_URI, the http:// or https:// address of MLflow")
    return address


def _address(uri: str) -> Address:
    parts = urlsplit(uri)
    if parts.scheme == "gs" and parts.netloc and parts.path.strip("/"):
        return Address("gs", parts.netloc, parts.path.lstrip("/"))
    if parts.scheme == "file" and not parts.netloc and parts.path.strip("/"):
        return Address("file", "", parts.path)
    if re.fullmatch(r"models:/[^/@]+(@[^/@]+|/[0-9]+)", uri):
        return Address("models", "", uri.removeprefix("models:/"))
    raise ConfigError(f"MODEL_URI {uri!r} is not gs://BUCKET/PATH, file:///PATH, models:/NAME@ALIAS or models:/NAME/1")
