"""The server against its OpenAPI document and the fuzzer on its forms, for minutes instead of seconds."""

from __future__ import annotations

from pathlib import Path

from starlette.testclient import TestClient

from tests.workloads.server import test_upload_fuzz as fuzz
from tests.workloads.server.conftest import client, context, model_file, settings
from tests.workloads.server.samples import ModelFile
from tests.workloads.server.test_openapi_contract import schemathesis, start_with_key
from tests.workloads.server.test_process import stop

__all__ = ["client", "context", "model_file", "settings"]
EXAMPLES = 5_000


def test_schemathesis_finds_nothing(model_file: ModelFile, tmp_path: Path) -> None:
    running = start_with_key(model_file, tmp_path)
    try:
        said = schemathesis(running, tmp_path, "--phases=coverage,fuzzing,stateful", "--max-examples=300")
        assert running.process.poll() is None
        assert running.get("/health")[0] == 200
    finally:
        stop(running)
    print("\n".join(said.splitlines()[-12:]))


def test_the_fuzzer_finds_nothing(client: TestClient) -> None:
    fuzz.check_what_is_well_formed(EXAMPLES)
    fuzz.check_what_is_broken(EXAMPLES)
    fuzz.check_the_whole_server(client, EXAMPLES // 2)
    assert client.post("/predict", files={"file": fuzz.PNG}).status_code == 200
