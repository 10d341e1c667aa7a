"""Nothing of MLflow is lost that a backup holds: made beside a writing server, restored after the database is gone."""

from __future__ import annotations

import gzip
import itertools
import runpy
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.workloads.mlflow.conftest import DEPLOY, Deployed

WRITER = """
import sqlite3, sys, time
with sqlite3.connect(sys.argv[1], timeout=20) as database:
    for number in range(1_000_000):
        database.execute("INSERT INTO runs VALUES (?, randomblob(2000))", (number,))
        database.execute("INSERT INTO pairs VALUES (?, randomblob(2000))", (number,))
        database.commit()
        print(number, flush=True)
        time.sleep(0.001)
"""


def unpacked(deployed: Deployed, name: str, folder: Path) -> Path:
    file = folder / "unpacked.db"
    file.write_bytes(gzip.decompress(deployed.store.read(deployed.bucket, f"mlflow-backups/{name}")))
    return file


def small(file: Path, runs: int = 1) -> None:
    """A database that has as much of MLflow's as the script looks at."""
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("CREATE TABLE runs (run_uuid, padding)")
        database.execute("CREATE TABLE pairs (run_uuid, padding)")
        database.executemany("INSERT INTO runs VALUES (?, '')", [(str(number),) for number in range(runs)])


def test_a_copy_made_under_writes_is_one_state_of_between_two_transactions(stopped: Deployed, tmp_path: Path) -> None:
    small(stopped.database, runs=0)
    writer = subprocess.Popen([sys.executable, "-c", WRITER, stopped.database], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    counts = []
    try:
        for _ in range(3):
            for _ in itertools.islice(writer.stdout, 50):
                pass
            time.sleep(1)  # a copy is named by its second
            done = stopped.cron_job("mlflow-backup")
            assert done.returncode == 0, done.stderr
            with closing(sqlite3.connect(unpacked(stopped, stopped.backups()[-1], tmp_path))) as copied:
                counts.append(
                    [copied.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("runs", "pairs")]
                )
        assert writer.poll() is None
    finally:
        writer.kill()
        writer.communicate()
    assert all(runs == pairs for runs, pairs in counts), counts
    assert 50 <= counts[0][0] < counts[1][0] < counts[2][0], counts


def test_a_second_copy_within_a_second_says_so(stopped: Deployed) -> None:
    small(stopped.database)
    script = runpy.run_path(str(DEPLOY / "sqlite.py"))
    bucket = stopped.store.client.bucket(stopped.bucket)
    given = (stopped.database, bucket, "mlflow-backups", datetime.now(UTC), timedelta(days=14))
    script["backup"](*given)
    with pytest.raises(script["BackupError"], match="is there already: wait a second and start it again"):
        script["backup"](*given)


def test_an_empty_database_is_no_backup_where_there_are_others(stopped: Deployed) -> None:
    """Else the one that a lost volume starts with would be the newest, and in time the only one."""
    small(stopped.database)
    assert stopped.cron_job("mlflow-backup").returncode == 0
    [kept] = stopped.backups()
    stopped.database.unlink()
    small(stopped.database, runs=0)
    done = stopped.cron_job("mlflow-backup")
    assert done.returncode == 1
    assert f"has no run, and there are 1 backups: restore the newest, mlflow-backups/{kept}" in done.stderr
    assert stopped.backups() == [kept]


def test_the_database_is_lost_and_comes_back(deployed: Deployed, tmp_path: Path) -> None:
    client = MlflowClient(tracking_uri=deployed.address)
    experiment = client.create_experiment("kept")
    run = client.create_run(experiment, run_name="before").info.run_id
    client.log_metric(run, "accuracy", 0.87, step=3)
    (tmp_path / "roc.png").write_bytes(b"a picture")
    client.log_artifact(run, str(tmp_path / "roc.png"))
    stop, written = threading.Event(), []

    def write() -> None:
        writing = MlflowClient(tracking_uri=deployed.address)
        while not stop.is_set():
            written.append(writing.create_run(experiment).info.run_id)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        done = deployed.cron_job("mlflow-backup")
        beside = len(written)
    finally:
        stop.set()
        writer.join()
    assert done.returncode == 0, done.stderr
    assert (beside > 0, len(written) > beside) == (True, True)  # the server went on

    deployed.kill()
    deployed.database.write_bytes(b"nothing of a database")
    done = deployed.cron_job("mlflow-restore")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(
        f"{deployed.database} is gs://{deployed.bucket}/mlflow-backups/{deployed.backups()[-1]}: "
    )
    deployed.start()

    found = client.get_run(run)
    assert (found.info.run_name, found.data.metrics) == ("before", {"accuracy": 0.87})
    assert [(metric.step, metric.value) for metric in client.get_metric_history(run, "accuracy")] == [(3, 0.87)]
    [artifact] = client.list_artifacts(run)
    assert Path(client.download_artifacts(run, artifact.path, str(tmp_path))).read_bytes() == b"a picture"
    assert Path(f"{deployed.database}.replaced").read_bytes() == b"nothing of a database"


def test_what_was_deleted_a_month_ago_goes_with_its_artifacts(deployed: Deployed, tmp_path: Path) -> None:
    client = MlflowClient(tracking_uri=deployed.address)
    experiment = client.create_experiment("collected")
    (tmp_path / "roc.png").write_bytes(b"a picture")
    runs = {name: client.create_run(experiment, run_name=name).info.run_id for name in ("old", "young", "kept")}
    for run in runs.values():
        client.log_artifact(run, str(tmp_path / "roc.png"))
    for name in ("old", "young"):
        client.delete_run(runs[name])
    month = 31 * 24 * 3600 * 1000
    with closing(sqlite3.connect(deployed.database, timeout=20)) as database, database:
        database.execute("UPDATE runs SET deleted_time = deleted_time - ? WHERE name = 'old'", (month,))

    done = deployed.cron_job("mlflow-gc")
    assert done.returncode == 0, done.stdout + done.stderr
    left = deployed.store.objects(deployed.bucket, f"mlflow-artifacts/{experiment}/")
    assert left == sorted(f"{runs[name]}/artifacts/roc.png" for name in ("young", "kept"))
    with closing(sqlite3.connect(deployed.database)) as database:
        rows = database.execute("SELECT name FROM runs WHERE experiment_id = ? ORDER BY name", (experiment,)).fetchall()
    assert rows == [("kept",), ("young",)]


def test_copies_of_more_than_two_weeks_go_after_a_good_one_and_no_other_object(stopped: Deployed) -> None:
    small(stopped.database)
    for name in ("2020-01-01T001700Z.db.gz", "2020-01-02T001700Z.db.gz", "2999-01-01T001700Z.db.gz", "notes.txt"):
        stopped.store.put(stopped.bucket, f"mlflow-backups/{name}", b"")
    done = stopped.cron_job("mlflow-backup")

    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("; 2 older than 14 days deleted\n")
    new, *kept = stopped.backups()
    assert (new[:2], kept) == ("20", ["2999-01-01T001700Z.db.gz", "notes.txt"])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "backup: OperationalError: unable to open database file\n"),
        (b"nothing of a database", "backup: DatabaseError: file is not a database\n"),
        ("damaged", "is damaged: "),
    ],
    ids=["none", "something else", "a damaged page"],
)
def test_a_database_that_is_not_whole_is_no_backup(stopped: Deployed, content: bytes | str | None, said: str) -> None:
    stopped.store.put(stopped.bucket, "mlflow-backups/2020-01-01T001700Z.db.gz", b"the last good one")
    if isinstance(content, bytes):
        stopped.database.write_bytes(content)
    elif content:
        small(stopped.database, runs=2000)
        data = bytearray(stopped.database.read_bytes())
        data[4096 * 3 : 4096 * 4] = bytes(4096)
        stopped.database.write_bytes(data)
    done = stopped.cron_job("mlflow-backup")

    assert done.returncode == 1
    assert said in done.stderr
    assert stopped.backups() == ["2020-01-01T001700Z.db.gz"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "restore: BackupError: gs://{bucket}/mlflow-backups holds no backup\n"),
        (b"", "restore: BackupError: {database}.fetched is no database of MLflow: no such table: runs\n"),
        (b"no archive", "restore: BadGzipFile: Not a gzipped file (b'no')\n"),
        (gzip.compress(b"some text" * 1000)[:-20], "restore: EOFError: "),
    ],
    ids=["none", "empty", "something else", "cut off"],
)
def test_a_copy_that_is_not_whole_replaces_nothing(stopped: Deployed, content: bytes | None, said: str) -> None:
    stopped.database.write_bytes(b"what is there")
    if content is not None:
        stopped.store.put(stopped.bucket, "mlflow-backups/2020-01-01T001700Z.db.gz", content)
    done = stopped.cron_job("mlflow-restore")

    assert done.returncode == 1
    stem = stopped.database.with_suffix("")
    assert done.stderr.startswith(said.format(bucket=stopped.bucket, database=stem).rstrip("\n")), done.stderr
    assert [file.name for file in stopped.folder.iterdir()] == ["mlflow.db"]
    assert stopped.database.read_bytes() == b"what is there"


def test_a_copy_is_chosen_by_name_and_the_old_journal_is_not_played_back(stopped: Deployed) -> None:
    packed = {}
    for name, runs in (("2020-01-01T001700Z.db.gz", 3), ("2020-01-02T001700Z.db.gz", 5)):
        file = stopped.folder / "made.db"
        small(file, runs)
        packed[name] = gzip.compress(file.read_bytes())
        file.unlink()
        stopped.store.put(stopped.bucket, f"mlflow-backups/{name}", packed[name])
    stopped.database.write_bytes(b"old")
    Path(f"{stopped.database}-journal").write_bytes(b"old journal")
    done = stopped.cron_job("mlflow-restore", BACKUP="2020-01-01T001700Z.db.gz")

    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("2020-01-01T001700Z.db.gz: 3 runs\n")
    assert {file.name: file.read_bytes() for file in stopped.folder.iterdir()} == {
        "mlflow.db": gzip.decompress(packed["2020-01-01T001700Z.db.gz"]),
        "mlflow.db.replaced": b"old",
        "mlflow.db.replaced-journal": b"old journal",
    }
