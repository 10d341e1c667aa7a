"""A bucket of the real object store with pictures, their data versions, and published models of known answers."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from catsdogs import key
from catsdogs.gate.settings import Address, ModelFile, Settings
from catsdogs.pipeline.shards import Shards
from tests.workloads.gate import planted
from tests.workloads.gate.planted import Picture, Plant
from tests.workloads.pod.conftest import Store, _clients_closed, store

__all__ = ["_clients_closed", "store"]
DATA, LEAKED, COPIED = "da7a00000001", "da7a00000002", "da7a00000003"


@dataclass(frozen=True)
class World:
    """A bucket, and ways to put into it what a TrainingRun would publish."""

    store: Store
    bucket: str
    folder: Path

    def ingest(self, data_version: str, pictures: Sequence[Picture]) -> None:
        """Shards and manifest of a data version."""
        folder = self.folder / f"{self.bucket}-{data_version}"
        folder.mkdir()
        shards = Shards(folder)
        rows = [planted.row(picture, shards.add(picture.name, picture.data)) for picture in pictures]
        shards.close()
        prefix = key.data_prefix(data_version, "ingested")
        for shard in folder.iterdir():
            self.put(prefix + shard.name, shard.read_bytes())
        self.put(prefix + "manifest.json", json.dumps({"dataVersion": data_version, "photos": rows}).encode())

    def publish(self, version: str, plant: Plant, data_version: str = DATA) -> ModelFile:
        """A version's model.pt and model.json."""
        file, path = self.folder / f"{version}.pt", f"{key.model_prefix(version)}model.pt"
        sha256 = planted.write(file, plant)
        self.put(path, file.read_bytes())
        described = {"version": version, "sha256": sha256, "lineage": {"dataVersion": data_version}}
        self.put(f"{key.model_prefix(version)}model.json", json.dumps(described).encode())
        return ModelFile(Address(self.bucket, path), sha256)

    def put(self, name: str, data: bytes) -> None:
        self.store.put(self.bucket, name, data)

    def read(self, name: str) -> bytes:
        return self.store.read(self.bucket, name)

    def names(self, prefix: str) -> list[str]:
        return self.store.objects(self.bucket, prefix)

    def delete(self, name: str) -> None:
        self.store.client.bucket(self.bucket).blob(name).delete()

    def case(self, candidate: ModelFile, serving: ModelFile | None = None, **changes: Any) -> Settings:
        """Settings as the operator gives them when the spec says nothing but a minimum and a regression."""
        report = Address(self.bucket, f"reports/cats-dogs/api/{candidate.sha256[:12]}/")
        return replace(Settings(candidate, serving, report, minimum=0.6, max_regression=0.01), **changes)


@pytest.fixture(autouse=True)
def _here(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The judge in this process talks to the store."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", store.endpoint)


def new_world(store: Store, folder: Path, bucket: str, pictures: Iterable[Picture]) -> World:
    """A bucket of its own with one data version."""
    store.client.create_bucket(bucket)
    world = World(store, bucket, folder)
    world.ingest(DATA, list(pictures))
    return world


@pytest.fixture(scope="session")
def world(store: Store, tmp_path_factory: pytest.TempPathFactory) -> World:
    """DATA as ingest makes it; LEAKED has a picture of its test split in train too, COPIED one in another encoding."""
    pictures = planted.pictures()
    found = new_world(store, tmp_path_factory.mktemp("gate"), "gate", pictures)
    first = pictures[0]
    found.ingest(LEAKED, [*pictures, replace(first, name="Cat/again.png", split="train")])
    turned = Image.open(io.BytesIO(first.data)).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    buffer = io.BytesIO()
    turned.resize((80, 80)).save(buffer, "JPEG", quality=60)
    found.ingest(COPIED, [*pictures, Picture("Cat/copy.jpg", "cat", buffer.getvalue(), "val")])
    return found


@pytest.fixture(scope="session")
def serving(world: World) -> ModelFile:
    return world.publish("5e5e00000001", planted.SERVING)
