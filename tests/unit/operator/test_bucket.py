"""The bucket through the real client: what is hashed, what is found, and what each failure means."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from catsdogs.key import RawPhoto, raw_hash, version
from mlops_operator.api.training_run import BucketFailure, Lookup
from mlops_operator.bucket import Bucket
from tests.unit.operator.bucket_server import Buckets, bucket_server, checksum

IMAGE = "registry.example/trainer@sha256:" + "1" * 64
RAW = "datasets/cats-dogs/raw/"
PHOTOS = {"Cat/1.jpg": b"cat", "Cat/2.jpg": b"another", "Dog/1.jpg": b"dog"}


@pytest.fixture
def buckets(monkeypatch: pytest.MonkeyPatch) -> Iterator[Buckets]:
    """A store with bucket `photos`."""
    with bucket_server() as found:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", found.url)
        found.objects["photos"] = {RAW: b"", **{RAW + name: data for name, data in PHOTOS.items()}}
        yield found


@pytest_asyncio.fixture
async def bucket() -> AsyncIterator[Bucket]:
    found = Bucket()
    yield found
    await found.close()


def expected_hash() -> str:
    return raw_hash(RawPhoto(name, len(data), checksum(data)) for name, data in PHOTOS.items())


async def test_key_of_the_photographs_over_several_pages(buckets: Buckets, bucket: Bucket) -> None:
    key = version(expected_hash(), {}, IMAGE)
    assert await bucket.find_key("photos", {}, IMAGE) == Lookup(expected_hash(), 3, key, None)


async def test_published_result_is_found(buckets: Buckets, bucket: Bucket) -> None:
    key = version(expected_hash(), {}, IMAGE)
    buckets.objects["photos"][f"models/cats-dogs/{key}/model.json"] = json.dumps({"version": key}).encode()
    found = await bucket.find_key("photos", {}, IMAGE)
    assert found == Lookup(expected_hash(), 3, key, {"version": key})
    assert await bucket.find_result("photos", key) == Lookup(version=key, model={"version": key})
    assert await bucket.read_document(f"gs://photos/models/cats-dogs/{key}/model.json") == {"version": key}
    assert await bucket.read_document("gs://photos/nothing.json") is None


async def test_runs_started_together_share_one_listing(buckets: Buckets, bucket: Bucket) -> None:
    await asyncio.gather(*(bucket.find_key("photos", {"seed": seed}, IMAGE) for seed in range(10)))
    pages = 2
    assert buckets.listings == pages


async def test_an_empty_folder_has_no_photographs(buckets: Buckets, bucket: Bucket) -> None:
    buckets.objects["photos"] = {RAW: b"", "datasets/cats-dogs/other": b"x"}
    assert await bucket.find_key("photos", {}, IMAGE) == Lookup()


async def test_a_missing_bucket_is_named(buckets: Buckets, bucket: Bucket) -> None:
    wanted = Lookup(failure=BucketFailure("BucketNotFound", "Bucket gs://elsewhere does not exist"))
    assert await bucket.find_key("elsewhere", {}, IMAGE) == wanted
    assert await bucket.find_result("elsewhere", "abc") == wanted


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (403, "PermissionDenied"),
        (429, "BucketUnavailable"),
        (500, "BucketUnavailable"),
        (503, "BucketUnavailable"),
    ],
)
async def test_failures_by_status(buckets: Buckets, bucket: Bucket, status: int, reason: str) -> None:
    buckets.status = status
    for found in (await bucket.find_key("photos", {}, IMAGE), await bucket.find_result("photos", "abc")):
        assert found.failure is not None
        assert found.failure.reason == reason
        assert "gs://photos" in found.failure.message


async def test_no_connection_is_no_verdict(monkeypatch: pytest.MonkeyPatch, bucket: Bucket) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:1")
    found = await bucket.find_key("photos", {}, IMAGE)
    assert found.failure is not None
    assert found.failure.reason == "BucketUnavailable"


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff\xfe"])
async def test_a_spoiled_result_is_said(buckets: Buckets, bucket: Bucket, text: bytes) -> None:
    buckets.objects["photos"]["models/cats-dogs/abc/model.json"] = text
    found = await bucket.find_result("photos", "abc")
    assert found.failure is not None
    assert found.failure.reason == "ResultInvalid"
