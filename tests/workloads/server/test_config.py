"""The environment becomes the settings, or one line that names the variable and what it should be."""

from __future__ import annotations

import pytest

from catsdogs.server.config import VARIABLES, ConfigError, Settings, from_env


@pytest.mark.parametrize(
    ("env", "says"),
    [
        ({"PORT": "http"}, "PORT 'http' is not a number"),
        ({"PORT": "70000"}, "PORT is 70000, allowed are 0 to 65535"),
        ({"WORKERS": "0"}, "WORKERS is 0, allowed are 1 to 256"),
        ({"RECEIVE_SECONDS": "nan"}, "RECEIVE_SECONDS is nan, allowed are 0.1 to 600"),
        ({"MODEL_NAME": "a/b"}, "MODEL_NAME 'a/b' is not 1 to 63 letters, digits, '.', '_' or '-'"),
        (
            {"CORS_ORIGINS": "https://a.org, a.org"},
            "CORS_ORIGINS 'a.org' is not * or origins such as https://example.org",
        ),
        ({"LOG_LEVEL": "loud"}, "LOG_LEVEL 'LOUD' is not DEBUG, INFO, WARNING or ERROR"),
    ],
)
def test_a_wrong_setting_is_named(env: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_env(env)
    assert str(caught.value) == says


def test_settings_are_read_from_the_environment() -> None:
    env = {
        "MODEL_URI": "gs://b/models/cats-dogs/v/model.pt",
        "MODEL_SHA256": "AB" * 32,
        "MODEL_VERSION": "v",
        "TRAINING_RUN": "ns/run",
        "MODEL_NAME": "pets",
        "MLFLOW_TRACKING_URI": "http://mlflow:5000",
        "HOST": "127.0.0.1",
        "PORT": "1",
        "OPS_PORT": "2",
        "WORKERS": "3",
        "QUEUE_LIMIT": "4",
        "MAX_UPLOAD_BYTES": "5",
        "MAX_PICTURES": "10",
        "MAX_BUFFERED_BYTES": "6",
        "RECEIVE_SECONDS": "7",
        "DRAIN_SECONDS": "8",
        "FINISH_SECONDS": "9",
        "API_KEYS_FILE": "/keys",
        "RATE_PER_SECOND": "0.5",
        "RATE_BURST": "11",
        "TRUSTED_PROXIES": "2",
        "CORS_ORIGINS": "https://a.org,http://b.org:8080",
        "LOG_LEVEL": "warning",
        "GOOGLE_CLOUD_PROJECT": "p",
    }
    assert list(env) == [variable.name for variable in VARIABLES]
    assert from_env(env) == Settings(
        model_uri="gs://b/models/cats-dogs/v/model.pt",
        model_sha256="ab" * 32,
        model_version="v",
        training_run="ns/run",
        model_name="pets",
        tracking_uri="http://mlflow:5000",
        host="127.0.0.1",
        port=1,
        ops_port=2,
        workers=3,
        queue_limit=4,
        max_upload=5,
        max_buffered=6,
        max_pictures=10,
        receive_seconds=7.0,
        drain_seconds=8.0,
        finish_seconds=9.0,
        api_keys_file="/keys",
        rate_per_second=0.5,
        rate_burst=11,
        trusted_proxies=2,
        cors_origins=("https://a.org", "http://b.org:8080"),
        log_level="WARNING",
        project="p",
    )
