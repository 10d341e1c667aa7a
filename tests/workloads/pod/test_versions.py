"""Versions in a real object store: what is computed again and what is not, restoring, and garbage collection."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from catsdogs import cli, key
from catsdogs.pipeline import dvc, history
from catsdogs.pipeline.workspace import outcome
from tests.workloads.pod.conftest import Pod, Store, pod
from tests.workloads.pod.faults import Fault, proxy, rules

NOTHING_SERVED = '{"apiVersion": "v1", "kind": "List", "items": []}'


@pytest.fixture
def here(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands of this process talk to the store."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", store.endpoint)
    monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")


def computed(run: Pod, stages: tuple[str, ...] = key.STAGES) -> list[str]:
    """Run the stages; those that were computed, not taken from what another pod has left in the bucket."""
    for stage in stages:
        code, _, log = run.run(stage)
        assert code == 0, log
    return [stage for stage in stages if (run.work / "repo" / outcome(stage)).exists()]


@pytest.fixture(scope="session")
def reseeded(
    store: Store, photos: str, finished: tuple[Pod, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Pod, list[str]]:
    """A pod on another machine with another seed than `finished`, and the stages that it computed."""
    run = pod(store, photos, tmp_path_factory.mktemp("reseeded") / "work", seed=2)
    return run, computed(run)


def copied(store: Store, source: str, target: str, *prefixes: str) -> None:
    """A new bucket with the objects of another one, in the order of the prefixes."""
    store.client.create_bucket(target)
    for prefix in prefixes:
        for name in store.objects(source, prefix):
            content = store.read(source, prefix + name)
            store.client.bucket(target).blob(prefix + name).upload_from_string(content)


def outputs(repo: Path) -> dict[str, str]:
    """SHA-256 of every file that the stages of a workspace made, but the listing that is made anew each time."""
    files = [file for folder in ("data", "model") for file in (repo / folder).rglob("*") if file.is_file()]
    left_out = ("raw-manifest.json", "previous.json", "model.json", "checkpoint.pt")
    return {
        file.relative_to(repo).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
        if file.parent.name == "ingested" or file.name not in left_out
    }


def digest(run: Pod, path: str) -> str:
    """The MD5 by which DVC keeps an output of a pod."""
    return history.outs_of(yaml.safe_load((run.work / "repo/dvc.lock").read_text())["stages"])[path]


def test_another_training_parameter_on_another_machine_trains_and_evaluates_alone(
    finished: tuple[Pod, dict[str, Any]], reseeded: tuple[Pod, list[str]]
) -> None:
    run, stages = reseeded
    first, second = outputs(finished[0].work / "repo"), outputs(run.work / "repo")

    assert stages == ["train", "evaluate"]
    assert {name: digest for name, digest in second.items() if name.startswith("data/")} == {
        name: digest for name, digest in first.items() if name.startswith("data/")
    }
    assert second["model/model.pt"] != first["model/model.pt"]


def test_one_byte_in_one_photograph_trains_anew(
    store: Store, photos: str, finished: tuple[Pod, dict[str, Any]], tmp_path: Path
) -> None:
    copied(store, photos, "one-byte", key.RAW_PREFIX, "dvc/")
    blob = store.client.bucket("one-byte").blob(key.RAW_PREFIX + "Cat/1.jpg")
    blob.upload_from_string(blob.download_as_bytes() + b"\0")  # behind the picture's end: the pixels stay

    run = pod(store, "one-byte", tmp_path / "work")

    assert run.version != finished[0].version
    assert computed(run, ("ingest", "preprocess", "train")) == ["ingest", "preprocess", "train"]


@pytest.mark.usefixtures("here", "reseeded")
def test_an_old_version_is_restored_byte_for_byte(
    photos: str, finished: tuple[Pod, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = finished[0]

    code = cli.main(["restore", run.version, "--bucket", photos, "--out", str(tmp_path / "old")])

    assert (code, capsys.readouterr().err) == (0, "")
    assert outputs(tmp_path / "old") == outputs(run.work / "repo")


@pytest.mark.usefixtures("here")
def test_two_versions_are_compared_from_the_bucket(
    photos: str,
    finished: tuple[Pod, dict[str, Any]],
    reseeded: tuple[Pod, list[str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = finished[0].version, reseeded[0].version

    assert cli.main(["compare", "--bucket", photos, *names]) == 0

    rows = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines() if line.strip()}
    assert rows[names[0]] == [names[1], "difference"]
    assert rows["seed"] == ["1", "2", "+1"]
    assert rows["sha256"][2] == "differs"
    assert {"testAccuracy", "bestEpoch", "valAccuracy", "trainLoss"} <= rows.keys()
    assert "dataVersion" not in rows, "both have the same data"

    assert cli.main(["versions", "--bucket", photos]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert listed[0] == "version"
    assert set(names) <= set(listed)


def filled(store: Store, source: str, name: str, old: str, new: str) -> str:
    """A bucket with an old version, a new one, and a checkpoint that was left behind."""
    copied(store, source, name, "dvc/", "datasets/", key.model_prefix(old), key.model_prefix(new))
    store.client.bucket(name).blob(key.checkpoint_prefix(old) + "checkpoint.pt").upload_from_string(b"left")
    return name


@pytest.fixture(scope="module")
def kept(store: Store, photos: str, finished: tuple[Pod, dict[str, Any]], reseeded: tuple[Pod, list[str]]) -> str:
    """Such a bucket for the tests after which all versions are still there."""
    return filled(store, photos, "gc-kept", finished[0].version, reseeded[0].version)


@pytest.fixture(scope="module")
def collected(store: Store, photos: str, finished: tuple[Pod, dict[str, Any]], reseeded: tuple[Pod, list[str]]) -> str:
    """Such a bucket for the test that collects."""
    return filled(store, photos, "gc-collected", finished[0].version, reseeded[0].version)


def collect(bucket: str, *options: str) -> int:
    return cli.main(["gc", "--bucket", bucket, "--older-than", "0s", "--keep", "1", *options])


@pytest.mark.usefixtures("here")
def test_gc_takes_the_old_version_and_leaves_all_of_the_new_one(
    store: Store,
    collected: str,
    finished: tuple[Pod, dict[str, Any]],
    reseeded: tuple[Pod, list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old, new = finished[0].version, reseeded[0].version
    served = tmp_path / "served.json"
    served.write_text(NOTHING_SERVED)
    before = store.objects(collected, "")
    for command in ("pin", "unpin"):
        assert cli.main([command, old, "--bucket", collected]) == 0

    with proxy(store.endpoint, rules()) as watched:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", watched.endpoint)
        assert collect(collected, "--served", str(served), "--yes") == 0
        deletions = [request for request in watched.requests if request.startswith("DELETE ")]
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", store.endpoint)

    left = store.objects(collected, "")
    assert [name for name in left if old in name] == []
    assert digest(finished[0], "model/model.pt") not in {
        name.replace("/", "").removeprefix("dvcfilesmd5") for name in left
    }
    assert [name for name in before if new in name or name.startswith("datasets/")] == [
        name for name in left if new in name or name.startswith("datasets/")
    ]
    # fake-gcs-server doesn't look at a deletion's preconditions; Cloud Storage does.
    assert len(deletions) == len(before) - len(left) > 5
    assert all("ifGenerationMatch=" in one and "ifMetagenerationMatch=" in one for one in deletions)
    assert f"models%2Fcats-dogs%2F{old}%2Fmodel.json" in deletions[0]

    assert cli.main(["restore", new, "--bucket", collected, "--out", str(tmp_path / "new")]) == 0
    assert outputs(tmp_path / "new") == outputs(reseeded[0].work / "repo")
    assert cli.main(["restore", old, "--bucket", collected, "--out", str(tmp_path / "gone")]) == 65


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("kept_by", ["dry run", "default", "served", "pin", "name", "age", "keep"])
def test_gc_leaves_what_it_must(
    store: Store, kept: str, finished: tuple[Pod, dict[str, Any]], tmp_path: Path, kept_by: str
) -> None:
    old = finished[0].version
    served = tmp_path / "served.json"
    status = {"dry run": "", "served": f'{{"kind": "ModelServer", "status": {{"model": {{"version": "{old}"}}}}}}'}
    served.write_text(NOTHING_SERVED.replace("[]", f"[{status.get(kept_by, '')}]"))
    if kept_by == "pin":
        assert cli.main(["pin", old, "--bucket", kept, "--reason", "the paper's"]) == 0
    options = {
        "dry run": ["--dry-run"],
        "default": [],
        "name": ["--yes", "--keep-version", old],
        "age": ["--yes", "--older-than", "1h"],
        "keep": ["--yes", "--keep", "2"],
    }.get(kept_by, ["--yes"])
    # The bucket came with what other tests' runs, broken off, had sent to the cache; that is nobody's.
    assert collect(kept, "--nothing-served", "--keep", "2", "--yes") == 0
    store.put(kept, key.checkpoint_prefix(old) + "checkpoint.pt", b"left")
    before = store.objects(kept, "")

    assert collect(kept, "--served", str(served), *options) == 0

    if kept_by == "pin":
        assert cli.main(["unpin", old, "--bucket", kept]) == 0
    gone = set(before) - set(store.objects(kept, ""))
    assert gone <= {key.checkpoint_prefix(old) + "checkpoint.pt"}


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--yes"], "which models are served is not known, so nothing is deleted"),
        (["--yes", "--served", "{pods}"], "it lists Pod"),
        (["--yes", "--served", "{empty}"], "not what kubectl prints"),
        (
            ["--yes", "--nothing-served", "--keep-version", "0123456789ab"],
            "--keep-version 0123456789ab: no such version",
        ),
    ],
)
def test_gc_refuses_what_it_can_not_be_sure_of(
    store: Store,
    kept: str,
    tmp_path: Path,
    options: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "pods").write_text('{"kind": "List", "items": [{"kind": "Pod"}]}')
    (tmp_path / "empty").write_text("")
    before = store.objects(kept, "")
    given = [option.format(pods=tmp_path / "pods", empty=tmp_path / "empty") for option in options]

    assert collect(kept, *given) == 78

    assert message in capsys.readouterr().err
    assert store.objects(kept, "") == before


def kill(process: subprocess.Popen[Any]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def test_a_killed_upload_of_data_leaves_no_version_and_the_next_run_completes_it(
    store: Store, photos: str, tmp_path: Path
) -> None:
    copied(store, photos, "killed", key.RAW_PREFIX)
    run = pod(store, "killed", tmp_path / "work")
    with proxy(store.endpoint, rules(("POST /upload", range(1, 99), Fault("hang")))) as stalled:
        process = subprocess.Popen(
            [sys.executable, "-m", "catsdogs", "stage", "ingest"],
            env={**os.environ, **run.environment, "STORAGE_EMULATOR_HOST": stalled.endpoint},
            start_new_session=True,
            stderr=subprocess.DEVNULL,
        )
        assert stalled.hanging.wait(120)
        kill(process)
    assert [name for name in store.objects("killed", "") if name.endswith("manifest.json")] == []

    assert run.run("ingest")[0] == 0

    (closing,) = [name for name in store.objects("killed", "") if name.endswith("ingested/manifest.json")]
    prefix = closing.removesuffix("manifest.json")
    files = {file.name: file.read_bytes() for file in (run.work / "repo/data/ingested").iterdir()}
    assert {name: store.read("killed", prefix + name) for name in store.objects("killed", prefix)} == files


def test_a_killed_push_leaves_no_reference_to_what_is_not_there_and_the_next_one_completes_it(
    store: Store, finished: tuple[Pod, dict[str, Any]]
) -> None:
    first = finished[0]
    store.client.create_bucket("torn")
    environment = {**os.environ, **first.environment, "CATSDOGS_BUCKET": "torn"}
    push = "from catsdogs.pipeline import settings, stage; stage.push(settings.from_environment())"
    dvc.configure(first.work / "repo", "torn")
    try:
        with proxy(store.endpoint, rules(("POST /upload", range(3, 99), Fault("hang")))) as stalled:
            process = subprocess.Popen(
                [sys.executable, "-c", push],
                env={**environment, "STORAGE_EMULATOR_HOST": stalled.endpoint},
                start_new_session=True,
                stderr=subprocess.DEVNULL,
            )
            assert stalled.hanging.wait(120)
            until = time.monotonic() + 30
            while len(sent := store.objects("torn", "dvc/files/md5/")) < 3:  # those before it may be under way yet
                assert time.monotonic() < until, sent
                time.sleep(0.05)
            kill(process)
        sent = store.objects("torn", "dvc/files/md5/")
        assert [name for name in sent if name.endswith(".dir")] == []
        assert store.objects("torn", "dvc/runs/") == []

        subprocess.run([sys.executable, "-c", push], env=environment, check=True)
    finally:
        dvc.configure(first.work / "repo", first.environment["CATSDOGS_BUCKET"])

    there = {name.replace("/", "") for name in store.objects("torn", "dvc/files/md5/")}
    lock = history.outs_of(yaml.safe_load((first.work / "repo/dvc.lock").read_text())["stages"])
    assert set(lock.values()) <= there
    assert len(store.objects("torn", "dvc/runs/")) == len(key.STAGES)
    for name in store.objects("torn", "dvc/files/md5/"):
        content = store.read("torn", f"dvc/files/md5/{name}")
        assert name.replace("/", "").removesuffix(".dir") == hashlib.md5(content).hexdigest()
