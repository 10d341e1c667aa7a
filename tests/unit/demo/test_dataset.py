"""Where the pictures come from: the user's own, the public set, or drawings that say that they are drawings."""

import hashlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from rich.console import Console

from demo import archive
from demo.dataset import Dataset, obtain
from demo.download import Source
from demo.errors import DemoError
from devcluster.progress import Reporter


@pytest.fixture
def printed() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def report(printed: io.StringIO) -> Reporter:
    return Reporter(Console(file=printed, width=200))


def zipped(place: Path, members: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(place, "w") as bundle:
        for name, content in members.items():
            bundle.writestr(name, content)
    return place


def folder(place: Path, names: list[str]) -> Path:
    for name in names:
        file = place / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(name.encode())
    return place


NINE = [f"Cat/{n}.jpg" for n in (1, 2, 3, 10)] + [f"Dog/{n}.jpg" for n in (1, 2, 3, 10, 11)]


def test_a_folder_is_used_where_it_lies(tmp_path: Path, report: Reporter) -> None:
    own = folder(tmp_path / "own", [*NINE, "Cat/Thumbs.db", "Cat/.hidden.jpg", "readme.txt"])

    assert obtain(own, None, tmp_path / "cache", report) == Dataset(
        source=str(own), pictures={name: own / name for name in NINE}, drawn=False
    )
    assert not (tmp_path / "cache").exists()


def test_a_number_takes_half_of_each_class_in_natural_order(tmp_path: Path, report: Reporter) -> None:
    own = folder(tmp_path / "own", NINE)

    dataset = obtain(own, 7, tmp_path / "cache", report)

    assert list(dataset.pictures) == [
        "Cat/1.jpg", "Cat/2.jpg", "Cat/3.jpg", "Cat/10.jpg", "Dog/1.jpg", "Dog/2.jpg", "Dog/3.jpg",
    ]  # fmt: skip


def test_the_classes_may_lie_one_folder_deeper(tmp_path: Path, report: Reporter) -> None:
    own = folder(tmp_path / "own" / "raw", NINE)

    assert obtain(tmp_path / "own", None, tmp_path / "cache", report).count == 9
    assert own.exists()


def test_a_zip_gives_the_same_as_its_folder(tmp_path: Path, report: Reporter) -> None:
    members = {f"PetImages/{name}": name.encode() for name in NINE}
    bundle = zipped(tmp_path / "set.zip", members | {"PetImages/Cat/Thumbs.db": b"", "readme.txt": b""})

    dataset = obtain(bundle, None, tmp_path / "cache", report)

    assert {name: file.read_bytes() for name, file in dataset.pictures.items()} == {
        name: name.encode() for name in NINE
    }


def test_a_zip_cannot_write_outside_its_target(tmp_path: Path, report: Reporter) -> None:
    bundle = zipped(
        tmp_path / "evil.zip",
        {
            "Cat/1.jpg": b"cat",
            "../../Cat/2.jpg": b"up",
            "/etc/Cat/3.jpg": b"absolute",
            "..\\Dog\\4.jpg": b"windows",
            "Dog/..": b"dots",
        },
    )

    dataset = obtain(bundle, None, tmp_path / "cache", report)

    places = [file.resolve() for file in tmp_path.rglob("*") if file.is_file() and file != bundle]
    assert sorted(dataset.pictures) == ["Cat/1.jpg", "Cat/2.jpg", "Cat/3.jpg", "Dog/4.jpg"]
    assert sorted(places) == sorted(file.resolve() for file in dataset.pictures.values())
    assert all(place.is_relative_to(tmp_path / "cache" / "photos") for place in places)


def test_a_zip_bomb_is_stopped_and_leaves_nothing(
    tmp_path: Path, report: Reporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MAX_FILE_BYTES", 1 << 20)
    bundle = zipped(tmp_path / "bomb.zip", {"Cat/1.jpg": b"\0" * (2 << 20), "Dog/1.jpg": b"dog"})

    with pytest.raises(DemoError, match=r"'Cat/1.jpg' is larger than 1 MiB"):
        obtain(bundle, None, tmp_path / "cache", report)

    assert [file for file in (tmp_path / "cache").rglob("*") if file.is_file()] == []


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"Cat/1.jpg": b"cat"}, r"holds no Dog/\*.jpg; it needs the folders Cat/ and Dog/"),
        ({"notes.txt": b"hello"}, r"holds no Cat/\*.jpg; it needs the folders Cat/ and Dog/"),
    ],
)
def test_a_zip_without_both_classes(tmp_path: Path, report: Reporter, members: dict[str, bytes], message: str) -> None:
    with pytest.raises(DemoError, match=message):
        obtain(zipped(tmp_path / "set.zip", members), None, tmp_path / "cache", report)


def test_a_file_that_is_no_zip(tmp_path: Path, report: Reporter) -> None:
    (tmp_path / "set.zip").write_bytes(b"no zip at all")

    with pytest.raises(DemoError, match=r"set.zip is not a zip file that can be read"):
        obtain(tmp_path / "set.zip", None, tmp_path / "cache", report)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "has no folders Cat/ and Dog/"),
        (["Cat/1.jpg"], "has no folders Cat/ and Dog/"),
        (["Cat/1.jpg", "Dog/notes.txt"], "Dog holds no photographs"),
    ],
)
def test_a_folder_that_is_no_set(tmp_path: Path, report: Reporter, names: list[str], message: str) -> None:
    own = tmp_path / "own"
    own.mkdir()

    with pytest.raises(DemoError, match=message):
        obtain(folder(own, names), None, tmp_path / "cache", report)


def test_data_that_is_not_there_is_never_replaced(tmp_path: Path, report: Reporter) -> None:
    with pytest.raises(DemoError, match=r"DATA=.*nowhere does not exist"):
        obtain(tmp_path / "nowhere", None, tmp_path / "cache", report)


def test_one_photograph_is_too_few(tmp_path: Path, report: Reporter) -> None:
    with pytest.raises(DemoError, match=r"PHOTOS=1 is too few"):
        obtain(None, 1, tmp_path / "cache", report)


def test_without_the_public_set_it_draws_and_says_so(
    tmp_path: Path, report: Reporter, printed: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    nowhere = Source("http://127.0.0.1:9/set.zip", 10, "0" * 64)

    dataset = obtain(None, None, tmp_path, report, public=nowhere, drawings=6)
    again = obtain(None, None, tmp_path, report, public=nowhere, drawings=6)

    assert (dataset.source, dataset.count, dataset.drawn) == ("drawings made here (not photographs)", 6, True)
    assert again == dataset
    assert "no photographs: http://127.0.0.1:9/set.zip can't be reached" in printed.getvalue()
    assert printed.getvalue().count("✓ Drawing 6 cats and dogs") == 1


def test_the_public_set_is_taken_from_the_cache(tmp_path: Path, report: Reporter) -> None:
    bundle = zipped(tmp_path / "set.zip", {f"PetImages/{name}": name.encode() for name in NINE})
    content = bundle.read_bytes()
    public = Source("http://127.0.0.1:9/set.zip", len(content), hashlib.sha256(content).hexdigest())

    dataset = obtain(None, 4, tmp_path, report, public=public)

    assert list(dataset.pictures) == ["Cat/1.jpg", "Cat/2.jpg", "Dog/1.jpg", "Dog/2.jpg"]
    assert dataset.source == "Microsoft's public Cats and Dogs photographs"
    assert not dataset.drawn
