"""The server's settings, read once from the environment. It must not read the environment later, nor
guess what a wrong value could have meant."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
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
    log_level: str = "INFO"


def from_env(env: Mapping[str, str]) -> Settings:
    """Settings from MODEL_URI, MODEL_SHA256, MODEL_VERSION, TRAINING_RUN and the optional limits.

    Raises ConfigError. A wrong MODEL_URI or MODEL_SHA256 is found when the model is loaded, so that the
    server stands and says in /health what is wrong with them.
    """
    return Settings(
        model_uri=env.get("MODEL_URI", ""),
        model_sha256=env.get("MODEL_SHA256", "").strip().lower(),
        model_version=env.get("MODEL_VERSION", ""),
        training_run=env.get("TRAINING_RUN", ""),
        host=env.get("HOST") or Settings.host,
        port=int(_number(env, "PORT", Settings.port, 0, 65535)),
        ops_port=int(_number(env, "OPS_PORT", Settings.ops_port, 0, 65535)),
        workers=int(_number(env, "WORKERS", len(os.sched_getaffinity(0)), 1, 256)),
        queue_limit=int(_number(env, "QUEUE_LIMIT", Settings.queue_limit, 0, 10_000)),
        max_upload=int(_number(env, "MAX_UPLOAD_BYTES", Settings.max_upload, 1, 100_000_000)),
        max_pictures=int(_number(env, "MAX_PICTURES", Settings.max_pictures, 1, 32)),
        max_buffered=int(_number(env, "MAX_BUFFERED_BYTES", Settings.max_buffered, 1, 10_000_000_000)),
        receive_seconds=_number(env, "RECEIVE_SECONDS", Settings.receive_seconds, 0.1, 600),
        drain_seconds=_number(env, "DRAIN_SECONDS", Settings.drain_seconds, 0, 600),
        finish_seconds=_number(env, "FINISH_SECONDS", Settings.finish_seconds, 0, 600),
        log_level=_level(env.get("LOG_LEVEL", "").upper() or Settings.log_level),
    )


def checked_address(settings: Settings) -> tuple[str, str, str]:
    """(scheme, bucket, path) of MODEL_URI. Raises ConfigError, also when MODEL_SHA256 is no SHA-256."""
    if not settings.model_uri:
        raise ConfigError("MODEL_URI is not set: give gs://BUCKET/PATH/model.pt or file:///PATH/model.pt")
    parts = urlsplit(settings.model_uri)
    in_bucket = parts.scheme == "gs" and parts.netloc and parts.path.strip("/")
    in_file = parts.scheme == "file" and not parts.netloc and parts.path.strip("/")
    if not in_bucket and not in_file:
        raise ConfigError(f"MODEL_URI {settings.model_uri!r} is not gs://BUCKET/PATH nor file:///PATH")
    digest = settings.model_sha256
    if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
        raise ConfigError("MODEL_SHA256 is not 64 hex digits: without it no model can be trusted")
    return parts.scheme, parts.netloc, parts.path if in_file else parts.path.lstrip("/")


def _number(env: Mapping[str, str], name: str, default: float, least: float, most: float) -> float:
    text = env.get(name, "")
    if not text:
        return default
    try:
        value = float(text) if isinstance(default, float) else int(text)
    except ValueError as error:
        raise ConfigError(f"{name} {text!r} is not a number") from error
    if not least <= value <= most:
        raise ConfigError(f"{name} is {text}, allowed are {least} to {most}")
    return value


def _level(name: str) -> str:
    if name not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise ConfigError(f"LOG_LEVEL {name!r} is not DEBUG, INFO, WARNING or ERROR")
    return name
