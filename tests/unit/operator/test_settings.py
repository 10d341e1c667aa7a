"""The operator's settings: what is read, and what is refused at start with the variable's name."""

import pytest

from mlops_operator.api.settings import Settings, SettingsError, settings_from_env

IMAGE = "registry.example/trainer@sha256:" + "1" * 64


def test_settings_whole() -> None:
    env = {
        "NAMESPACES": "team, other",
        "TRAINER_IMAGE": IMAGE,
        "SERVER_IMAGE": IMAGE,
        "BUCKET": "photos",
        "ALLOWED_REGISTRIES": "registry.example,localhost:5000/",
        "ALLOW_TAGS": "true",
        "MLFLOW_TRACKING_URI": "http://mlflow:5000",
        "MLFLOW_PUBLIC_URL": "https://mlflow.example/",
        "POD_ENV": '{"A": "1"}',
        "API_KEYS_SECRET": "keys-of-pets",
        "WATCH_QUERY_URL": "http://prometheus:9090/",
    }
    assert settings_from_env(env) == Settings(
        namespaces=("team", "other"),
        trainer_image=IMAGE,
        server_image=IMAGE,
        bucket="photos",
        allowed_registries=("registry.example/", "localhost:5000/"),
        allow_tags=True,
        mlflow_tracking_uri="http://mlflow:5000",
        mlflow_public_url="https://mlflow.example",
        pod_env={"A": "1"},
        api_keys_secret="keys-of-pets",
        watch_query_url="http://prometheus:9090",
    )


def test_defaults() -> None:
    assert settings_from_env({}) == Settings(namespaces=("cats-dogs",))


@pytest.mark.parametrize(
    ("env", "named"),
    [
        ({"NAMESPACES": " , "}, "NAMESPACES"),
        ({"TRAINER_IMAGE": "registry.example/trainer:latest"}, "TRAINER_IMAGE"),
        ({"SERVER_IMAGE": "x@sha256:12"}, "SERVER_IMAGE"),
        ({"ALLOW_TAGS": "yes"}, "ALLOW_TAGS"),
        ({"ALLOW_TAGS": "true", "TRAINER_IMAGE": "registry.example/trainer"}, "TRAINER_IMAGE"),
        ({"ALLOW_TAGS": "true", "SERVER_IMAGE": "registry.example/server:v1"}, "SERVER_IMAGE"),
        ({"POD_ENV": "{"}, "POD_ENV"),
        ({"POD_ENV": '{"A": 1}'}, "POD_ENV"),
        ({"POD_ENV": "[]"}, "POD_ENV"),
        ({"WATCH_QUERY_URL": "prometheus:9090"}, "WATCH_QUERY_URL"),
    ],
)
def test_a_wrong_variable_is_named(env: dict[str, str], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        settings_from_env(env)


@pytest.mark.parametrize(
    ("image", "allowed"),
    [
        ("registry.example/trainer@sha256:1", True),
        ("registry.example.evil/trainer@sha256:1", False),
        ("evil/registry.example/trainer@sha256:1", False),
    ],
)
def test_only_whole_registry_names_are_allowed(image: str, allowed: bool) -> None:
    settings = settings_from_env({"ALLOWED_REGISTRIES": "registry.example"})
    assert settings.allows_image(image) is allowed


@pytest.mark.parametrize(
    ("image", "always", "with_tags"),
    [
        (IMAGE, True, True),
        ("registry.example/trainer:v1", False, True),
        ("registry.example:5000/trainer", False, False),
        ("registry.example/trainer", False, False),
        ("registry.example/trainer:v1@sha256:12", False, False),
    ],
)
def test_images_are_pinned_by_digest_or_where_allowed_by_tag(image: str, always: bool, with_tags: bool) -> None:
    assert settings_from_env({}).is_pinned(image) is always
    assert settings_from_env({"ALLOW_TAGS": "true"}).is_pinned(image) is with_tags
