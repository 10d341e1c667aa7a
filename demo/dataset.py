"""Finds the photographs to train on: the user's, Microsoft's public ones, or drawings where those are not.

It must say where they came from, and must not pass drawings off as photographs.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from demo import archive
from demo.archive import CLASSES, SUFFIXES
from demo.download import DownloadError, Source, fetch
from demo.drawings import draw
from demo.errors import DemoError
from devcluster.progress import Reporter

# "Kaggle Cats and Dogs Dataset", https://www.microsoft.com/en-us/download/details.aspx?id=54765
MICROSOFT = Source(
    url="https://download.microsoft.com/download/3/E/1/3E1C3F21-ECDB-4869-8368-6DEBA77B919F/kagglecatsanddogs_5340.zip",
    size=824_887_076,
    sha256="b7974bd00a84a99921f36ee4403f089853777b5ae8d151c76a86e64900334af9",
)
DEFAULT_PHOTOS = 2000
DRAWINGS = 800
DRAWING_SEED = 1


@dataclass(frozen=True)
class Dataset:
    """Labelled pictures: `pictures` maps a name below the raw folder (Cat/1.jpg) to its file."""

    source: str
    pictures: Mapping[str, Path]
    drawn: bool = False

    @property
    def count(self) -> int:
        """How many pictures there are."""
        return len(self.pictures)


def obtain(
    data: Path | None,
    photos: int | None,
    cache: Path,
    report: Reporter,
    public: Source = MICROSOFT,
    drawings: int = DRAWINGS,
) -> Dataset:
    """The set in `data` (a folder with Cat/ and Dog/, or a zip of it), else the public one, else drawings.

    `photos` limits the number, half of each class (None: all of `data`, 2,000 of the public set).
    Raises DemoError for `data` that is not usable: it is never replaced by something else.
    """
    if photos is not None and photos < 2:
        raise DemoError(f"PHOTOS={photos} is too few: training needs at least 2, better 200 or more")
    if data is not None:
        return _own(data.expanduser(), photos, cache, report)
    try:
        return _public(public, photos or DEFAULT_PHOTOS, cache, report)
    except DownloadError as error:
        report.note(f"! no photographs: {error}. Drawing a small set instead; DATA=FOLDER gives your own.")
        return _drawn(photos if photos and photos < drawings else drawings, cache, report)


def _own(data: Path, photos: int | None, cache: Path, report: Reporter) -> Dataset:
    with report.step(f"Reading {data}") as step:
        if data.is_dir():
            dataset = _from_folder(data, photos, str(data))
        elif data.is_file():
            state = data.stat()
            identity = f"{data.resolve()}\n{state.st_size}\n{state.st_mtime_ns}\n{photos}"
            target = cache / "photos" / hashlib.sha256(identity.encode()).hexdigest()[:16]
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                archive.extract(data, target, photos, step.update)
            dataset = _from_folder(target, photos, str(data))
        else:
            raise DemoError(f"DATA={data} does not exist; give a folder with Cat/ and Dog/, or a zip of it")
        step.done(f"{dataset.count:,} photographs")
    return dataset


def _public(public: Source, photos: int, cache: Path, report: Reporter) -> Dataset:
    target = cache / "photos" / f"{public.sha256[:16]}-{photos}"
    source = "Microsoft's public Cats and Dogs photographs"
    if not target.exists():
        name = public.url.rsplit("/", 1)[-1]
        with report.step("Downloading photographs") as step:
            megabytes = public.size / 1e6
            zipped = fetch(
                public,
                cache / name,
                lambda have: step.update(have / public.size, f"{have / 1e6:,.0f} of {megabytes:,.0f} MB"),
            )
            step.done(f"{megabytes:,.0f} MB in {cache}")
        with report.step(f"Unpacking {photos:,} photographs") as step:
            archive.extract(zipped, target, photos, step.update)
    return _from_folder(target, photos, source)


def _drawn(count: int, cache: Path, report: Reporter) -> Dataset:
    recipe = hashlib.sha256(_recipe()).hexdigest()[:12]
    target = cache / "drawings" / f"{recipe}-{count}"
    if not target.exists():
        with report.step(f"Drawing {count} cats and dogs") as step:
            staging = target.with_name(f"{target.name}.{os.getpid()}.part")
            draw(staging, count, DRAWING_SEED, lambda done: step.update(done / count))
            target.parent.mkdir(parents=True, exist_ok=True)
            staging.replace(target)
    found = _from_folder(target, None, "drawings made here (not photographs)")
    return Dataset(found.source, found.pictures, drawn=True)


def _recipe() -> bytes:
    """What the drawings depend on, so that a changed drawing program draws anew."""
    here = Path(__file__).parent
    return b"".join((here / name).read_bytes() for name in ("animals.py", "drawings.py", "pen.py"))


def _from_folder(folder: Path, photos: int | None, source: str) -> Dataset:
    root = next((place for place in _candidates(folder) if _holds_classes(place)), None)
    if root is None:
        raise DemoError(f"{folder} has no folders Cat/ and Dog/; put the photographs of each class there")
    names = {label: [file.name for file in _photographs(root / label)] for label in CLASSES}
    for label in CLASSES:
        if not names[label]:
            raise DemoError(f"{root / label} holds no photographs ({', '.join(SUFFIXES)})")
    chosen = archive.choose(names, photos)
    return Dataset(source, {f"{label}/{name}": root / label / name for label, name in chosen})


def _candidates(folder: Path) -> list[Path]:
    return [folder, *sorted(place for place in folder.iterdir() if place.is_dir())]


def _holds_classes(folder: Path) -> bool:
    return all((folder / label).is_dir() for label in CLASSES)


def _photographs(folder: Path) -> list[Path]:
    return [
        file
        for file in folder.iterdir()
        if file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and file.is_file()
    ]
