"""A store that is busy, torn off, slow, closed or gone: work ends well after retries, or with one clear error."""

from __future__ import annotations

import base64
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from catsdogs import key
from catsdogs.errors import Exit, StageError
from catsdogs.pipeline import bucket as bucket_module
from catsdogs.pipeline import dvc
from tests.workloads.pod.conftest import Store
from tests.workloads.pod.faults import Fault, Proxy, proxy, rules

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # of requests torn here

LARGE = 9 * 2**20  # above what the client sends in one request


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six small files, a large one, and the one that closes a version."""
    made = tmp_path_factory.mktemp("version")
    for number in range(6):
        (made / f"shard-{number}.tar").write_bytes(bytes([number]) * 10_000)
    (made / "large.npy").write_bytes(hashlib.shake_256(b"large").digest(LARGE))
    (made / "manifest.json").write_text('{"closes": true}')
    return made


@pytest.fixture
def place(store: Store, request: pytest.FixtureRequest) -> str:
    """A bucket of the test's own."""
    name = "faults-" + hashlib.sha256(request.node.name.encode()).hexdigest()[:12]
    store.client.create_bucket(name)
    return name


@pytest.fixture
def through(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Puts a proxy with a plan before the store, for this process and those it starts."""
    running = []

    def start(*entries: tuple[str, range, Fault]) -> Proxy:
        context = proxy(store.endpoint, rules(*entries))
        running.append(context)
        found = context.__enter__()
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", found.endpoint)
        return found

    monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    yield start
    for context in running:
        context.__exit__(None, None, None)


def hashes(folder: Path) -> dict[str, str]:
    return {file.name: base64.b64encode(hashlib.md5(file.read_bytes()).digest()).decode() for file in folder.iterdir()}


def stored(store: Store, bucket: str, prefix: str) -> dict[str, str]:
    return {blob.name.removeprefix(prefix): blob.md5_hash for blob in store.client.list_blobs(bucket, prefix=prefix)}


def test_a_version_arrives_whole_through_every_fault(store: Store, place: str, through: Any, folder: Path) -> None:
    found = through(
        ("POST /upload.*uploadType=multipart", range(1), Fault("status", 429)),
        ("POST /upload.*uploadType=multipart", range(1, 2), Fault("status", 503)),
        ("POST /upload.*uploadType=multipart", range(2, 3), Fault("reset")),
        ("POST /upload.*uploadType=multipart", range(3, 4), Fault("lost")),
        ("POST /upload.*uploadType=multipart", range(4, 5), Fault("slow", 1)),
        ("POST /upload.*uploadType=resumable", range(1), Fault("status", 503)),
        ("PUT /upload", range(1), Fault("reset")),
        ("PATCH ", range(1), Fault("status", 503)),
    )

    sent = bucket_module.upload_folder(bucket_module.open_bucket(place), "v/", folder, "manifest.json")

    assert sent
    assert stored(store, place, "v/") == hashes(folder)
    assert sorted(kind for kind, _ in found.spoilt) == [
        "lost",
        "reset",
        "reset",
        "slow",
        "status",
        "status",
        "status",
        "status",
    ]


def test_a_large_upload_torn_by_the_store_is_uploaded_whole(
    store: Store, place: str, through: Any, folder: Path
) -> None:
    through(("PUT /upload", range(1), Fault("lost")), ("PUT /upload", range(1, 2), Fault("status", 503)))

    bucket_module.upload(bucket_module.open_bucket(place), "large.npy", folder / "large.npy")

    assert stored(store, place, "")["large.npy"] == hashes(folder)["large.npy"]


def test_the_close_of_a_version_whose_answer_is_lost_is_no_failure(
    store: Store, place: str, through: Any, folder: Path
) -> None:
    through(("POST /upload", range(1), Fault("lost")))
    bucket = bucket_module.open_bucket(place)

    bucket_module.upload(bucket, "model.json", folder / "manifest.json", once=True)

    assert store.read(place, "model.json") == b'{"closes": true}'


def test_listing_and_reading_go_on_through_faults(store: Store, photos: str, through: Any, drawings: Path) -> None:
    found = through(
        ("GET /storage/v1/b/photos/o[?]", range(1), Fault("status", 429)),
        ("GET /storage/v1/b/photos/o[?]", range(1, 2), Fault("cut")),
        ("GET /download", range(1), Fault("status", 503)),
        ("GET /download", range(1, 2), Fault("cut")),
        ("GET /download", range(2, 3), Fault("reset")),
    )
    bucket = bucket_module.open_bucket(photos)

    listed = bucket_module.list_raw(bucket)
    data = bucket_module.download(bucket, key.RAW_PREFIX + "Cat/1.jpg")

    assert listed == sorted(store.raw(photos))
    assert data == (drawings / "Cat/1.jpg").read_bytes()
    assert len(found.spoilt) == 5


@pytest.mark.parametrize(
    ("fault", "code", "message", "hint"),
    [
        (
            Fault("status", 403, "no access"),
            Exit.PERMISSION_DENIED,
            "no rights to gs://",
            "give the trainer's account the rights that deploy/gcp/identity.tf lists for it",
        ),
        (
            Fault("status", 401, "who?"),
            Exit.PERMISSION_DENIED,
            "no rights to gs://",
            "give the trainer's account the rights that deploy/gcp/identity.tf lists for it",
        ),
        (
            Fault("status", 404, "The specified bucket does not exist."),
            Exit.BUCKET_NOT_FOUND,
            "is not there",
            "create the bucket, or name another one in spec.bucket",
        ),
        (
            Fault("status", 400, "odd name"),
            Exit.CONFIG_ERROR,
            "is refused",
            "check the bucket's name and settings",
        ),
        (
            Fault("status", 503, "busy"),
            Exit.UNAVAILABLE,
            "did not answer within 1 s of retries",
            "run again; if it stays, look at the object store",
        ),
        (
            Fault("reset"),
            Exit.UNAVAILABLE,
            "did not answer within 1 s of retries",
            "run again; if it stays, look at the object store",
        ),
    ],
    ids=["403", "401", "gone", "400", "503", "reset"],
)
def test_a_store_that_stays_away_half_way_leaves_no_version(
    store: Store,
    place: str,
    through: Any,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: Fault,
    code: Exit,
    message: str,
    hint: str,
) -> None:
    monkeypatch.setattr(bucket_module, "RETRY_SECONDS", 1.0)
    through(("POST /upload.*uploadType=multipart", range(3, 10_000), fault))

    with pytest.raises(StageError) as caught:
        bucket_module.upload_folder(bucket_module.open_bucket(place), "v/", folder, "manifest.json")

    assert (caught.value.code, caught.value.hint) == (code, hint)
    assert message in caught.value.message
    assert "manifest.json" not in stored(store, place, "v/")

    monkeypatch.setenv("STORAGE_EMULATOR_HOST", store.endpoint)  # the store is back: the same call completes it
    assert bucket_module.upload_folder(bucket_module.open_bucket(place), "v/", folder, "manifest.json")
    assert stored(store, place, "v/") == hashes(folder)


@pytest.fixture(scope="module")
def copying(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DVC workspace with one stage that has run: a small and a large file in its output."""
    made = tmp_path_factory.mktemp("copying")
    dvc.configure(made)
    (made / "in").write_text("in")
    (made / "dvc.yaml").write_text(
        "stages: {copy: {cmd: mkdir -p out && head -c 6000000 /dev/zero > out/large && cp in out/small,"
        " deps: [in], outs: [out]}}"
    )
    ended = dvc.reproduce(made, ["copy"], pull=False, started=lambda _: None, said=lambda _: None)
    assert ended == dvc.Ended(0)
    return made


@pytest.fixture
def tracked(place: str, copying: Path, tmp_path: Path) -> Path:
    """A copy of `copying` with the test's own bucket as its remote."""
    folder = shutil.copytree(copying, tmp_path / "tracked")
    dvc.configure(folder, place)
    return folder


def remote(store: Store, bucket: str) -> dict[str, bytes]:
    """What DVC's remote holds, by MD5; each object must have the content that its name says."""
    prefix = "dvc/files/md5/"
    found = {name.replace("/", ""): store.read(bucket, prefix + name) for name in store.objects(bucket, prefix)}
    for name, content in found.items():
        assert name.removesuffix(".dir") == hashlib.md5(content).hexdigest()
    return found


def test_the_cache_is_pushed_whole_through_faults_and_pulled_whole(
    store: Store, place: str, through: Any, tracked: Path
) -> None:
    found = through(
        ("POST /upload", range(1), Fault("status", 503)),
        ("POST /upload", range(1, 2), Fault("reset")),
        ("POST /upload", range(3, 4), Fault("lost")),
        ("GET /storage", range(1), Fault("status", 429)),
        ("GET /download", range(1), Fault("cut")),
    )

    dvc.push(tracked)

    assert len(remote(store, place)) == 3
    assert {kind for kind, _ in found.spoilt} >= {"status", "reset", "lost"}
    before = {file.name: file.read_bytes() for file in (tracked / "out").iterdir()}
    forget(tracked)

    dvc.pull(tracked)

    assert {file.name: file.read_bytes() for file in (tracked / "out").iterdir()} == before


def forget(workspace: Path) -> None:
    """Make it as on a machine that has only dvc.yaml and dvc.lock."""
    for gone in ("out", ".dvc/cache", ".dvc/tmp", ".dvc/site"):
        shutil.rmtree(workspace / gone, ignore_errors=True)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault("status", 403, "no access"), Exit.PERMISSION_DENIED),
        (Fault("status", 404, "The specified bucket does not exist."), Exit.UNAVAILABLE),
    ],
    ids=["403", "gone"],
)
def test_a_cache_that_can_not_be_pushed_is_one_error(
    place: str, through: Any, tracked: Path, fault: Fault, code: Exit
) -> None:
    through(("POST ", range(10_000), fault))

    with pytest.raises(StageError) as caught:
        dvc.push(tracked)

    assert caught.value.code == code, caught.value.message
    assert caught.value.message.startswith("the data cache could not be sent to the bucket: ")
    assert "\n" not in caught.value.message


def test_a_damaged_object_of_the_cache_is_never_taken_for_the_data(
    store: Store, place: str, through: Any, tracked: Path
) -> None:
    through()
    dvc.push(tracked)
    small = hashlib.md5(b"in").hexdigest()
    store.client.bucket(place).blob(f"dvc/files/md5/{small[:2]}/{small[2:]}").upload_from_string(b"damaged")
    forget(tracked)

    with pytest.raises(StageError) as caught:
        dvc.pull(tracked)

    assert caught.value.code == Exit.UNAVAILABLE
    assert not (tracked / "out/small").exists()
