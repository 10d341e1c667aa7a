"""The operator's settings, read once from environment variables at start.

No other module reads the environment, and nothing here talks to a cluster.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

DIGEST_REFERENCE = re.compile(r"[a-z0-9][A-Za-z0-9._:/-]*@sha256:[0-9a-f]{64}")
TAG_REFERENCE = re.compile(r"[a-z0-9][A-Za-z0-9._:/-]*:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


class SettingsError(ValueError):
    """An environment variable that is missing or wrong; the message names it and says what is expected."""


@dataclass(frozen=True)
class Settings:
    """What a person who installs the operator decides; empty strings mean "not given"."""

    namespaces: tuple[str, ...]
    trainer_image: str = ""
    server_image: str = ""
    bucket: str = ""
    allowed_registries: tuple[str, ...] = ()
    allow_tags: bool = False
    mlflow_tracking_uri: str = ""
    mlflow_public_url: str = ""
    pod_env: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    trainer_service_account: str = "trainer"
    server_service_account: str = "model-server"
    judge_service_account: str = "model-judge"
    api_keys_secret: str = ""
    watch_query_url: str = ""

    def allows_image(self, image: str) -> bool:
        """Whether `image` lies under one of the allowed registry prefixes (each ends with "/")."""
        return any(image.startswith(prefix) for prefix in self.allowed_registries)

    def is_pinned(self, image: str) -> bool:
        """Whether `image` is named as exactly as this operator asks for: by digest, or by tag where that is allowed."""
        return _is_pinned(image, self.allow_tags)


def settings_from_env(env: Mapping[str, str]) -> Settings:
    """Parse NAMESPACES, TRAINER_IMAGE, SERVER_IMAGE, BUCKET, ALLOWED_REGISTRIES, ALLOW_TAGS ("true" or "false"),
    MLFLOW_TRACKING_URI, MLFLOW_PUBLIC_URL and POD_ENV (a JSON object of strings).

    WATCH_QUERY_URL is the address of a Prometheus, before /api/v1/query, that knows what the servers' pods answer.
    API_KEYS_SECRET names a Secret in the servers' namespaces, whose entry "keys" has one API key a line.
    Raises SettingsError for a value that could only fail later.
    """
    namespaces = _words(env.get("NAMESPACES", "cats-dogs"))
    if not namespaces:
        raise SettingsError('NAMESPACES is empty: give the namespaces to serve, such as "cats-dogs"')
    allow_tags = _flag(env, "ALLOW_TAGS")
    return Settings(
        namespaces=namespaces,
        trainer_image=_image(env, "TRAINER_IMAGE", allow_tags),
        server_image=_image(env, "SERVER_IMAGE"),
        bucket=env.get("BUCKET", "").strip(),
        allowed_registries=tuple(
            word if word.endswith("/") else f"{word}/" for word in _words(env.get("ALLOWED_REGISTRIES", ""))
        ),
        allow_tags=allow_tags,
        mlflow_tracking_uri=env.get("MLFLOW_TRACKING_URI", "").strip(),
        mlflow_public_url=env.get("MLFLOW_PUBLIC_URL", "").strip().rstrip("/"),
        pod_env=_pod_env(env.get("POD_ENV", "")),
        api_keys_secret=env.get("API_KEYS_SECRET", "").strip(),
        watch_query_url=_url(env, "WATCH_QUERY_URL"),
    )


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _flag(env: Mapping[str, str], name: str) -> bool:
    text = env.get(name, "").strip() or "false"
    if text not in ("true", "false"):
        raise SettingsError(f"{name}={text!r} is neither true nor false")
    return text == "true"


def _url(env: Mapping[str, str], name: str) -> str:
    url = env.get(name, "").strip().rstrip("/")
    if url and not url.startswith(("http://", "https://")):
        raise SettingsError(f"{name}={url!r} is no address: give http://HOST:PORT or https://HOST/PATH")
    return url


def _image(env: Mapping[str, str], name: str, allow_tags: bool = False) -> str:
    image = env.get(name, "").strip()
    if image and not _is_pinned(image, allow_tags):
        raise SettingsError(f"{name}={image!r} is not a digest reference: give REGISTRY/PATH@sha256:HEX")
    return image


def _is_pinned(image: str, allow_tags: bool) -> bool:
    by_tag = allow_tags and TAG_REFERENCE.fullmatch(image) is not None
    return by_tag or DIGEST_REFERENCE.fullmatch(image) is not None


def _pod_env(text: str) -> Mapping[str, str]:
    try:
        given = json.loads(text or "{}")
    except json.JSONDecodeError as error:
        raise SettingsError(f"POD_ENV is not JSON ({error}): give an object such as {{}}") from None
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise SettingsError('POD_ENV must be a JSON object of strings, such as {"NAME": "value"}')
    return MappingProxyType(given)
