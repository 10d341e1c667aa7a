"""Takes labelled photographs out of a zip file that somebody else made.

It must never write outside its target: only the class and the last part of a member's name are used.
"""

import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from demo.errors import DemoError

CLASSES = ("Cat", "Dog")
SUFFIXES = (".jpg", ".jpeg", ".png")
MAX_FILE_BYTES = 64 << 20
MAX_TOTAL_BYTES = 16 << 30


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """A sort key that puts 2.jpg before 10.jpg and does not depend on the locale."""
    parts = re.findall(r"\d+|\D+", name)
    return tuple((0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts)


def choose(names: dict[str, list[str]], photos: int | None) -> list[tuple[str, str]]:
    """(class, name) of the first photos/2 names of each class in natural order; None means all.

    The odd one is a cat. A class that has fewer gives what it has.
    """
    chosen = []
    for label, name in enumerate(CLASSES):
        most = None if photos is None else (photos + 1 - label) // 2
        chosen += [(name, file) for file in sorted(names[name], key=natural)[:most]]
    return chosen


def extract(
    archive: Path, target: Path, photos: int | None, told: Callable[[float], None] = lambda _share: None
) -> None:
    """Write the chosen photographs of the zip to target/Cat and target/Dog, all of them or nothing.

    `told` gets the share done, 0..1. Raises DemoError for a file that is no zip, holds no photographs of
    a class, is encrypted, or unpacks to more than the limits.
    """
    try:
        with zipfile.ZipFile(archive) as bundle:
            _extract(bundle, archive, target, photos, told)
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise DemoError(f"{archive} is not a zip file that can be read ({error}); give DATA=FOLDER") from error


def _extract(
    bundle: zipfile.ZipFile,
    archive: Path,
    target: Path,
    photos: int | None,
    told: Callable[[float], None],
) -> None:
    members: dict[tuple[str, str], zipfile.ZipInfo] = {}
    names: dict[str, list[str]] = {name: [] for name in CLASSES}
    for label, file, member in _photographs(bundle):
        if (label, file) not in members:
            members[label, file] = member
            names[label].append(file)
    for label in CLASSES:
        if not names[label]:
            raise DemoError(f"{archive} holds no {label}/*.jpg; it needs the folders Cat/ and Dog/")
    chosen = choose(names, photos)
    staging = target.with_name(target.name + ".part")
    shutil.rmtree(staging, ignore_errors=True)
    total = 0
    for done, (label, file) in enumerate(chosen, start=1):
        place = staging / label / file
        place.parent.mkdir(parents=True, exist_ok=True)
        total += _write(bundle, members[label, file], place, archive)
        if total > MAX_TOTAL_BYTES:
            shutil.rmtree(staging, ignore_errors=True)
            raise DemoError(f"{archive} unpacks to more than {MAX_TOTAL_BYTES >> 30} GiB; use PHOTOS=N")
        told(done / len(chosen))
    shutil.rmtree(target, ignore_errors=True)
    staging.replace(target)


def _photographs(bundle: zipfile.ZipFile) -> Iterator[tuple[str, str, zipfile.ZipInfo]]:
    """(class, file name, member) of every .../Cat/NAME.jpg and .../Dog/NAME.jpg in the zip."""
    for member in bundle.infolist():
        path = PurePosixPath(member.filename.replace("\\", "/"))
        label = path.parent.name.capitalize()
        hidden = path.name.startswith(".") or "__MACOSX" in path.parts
        if label in CLASSES and path.suffix.lower() in SUFFIXES and not hidden and not member.is_dir():
            yield label, path.name, member


def _write(bundle: zipfile.ZipFile, member: zipfile.ZipInfo, place: Path, archive: Path) -> int:
    """Copy one member, counting real bytes: the sizes a zip states are only claims."""
    if member.flag_bits & 0x1:
        raise DemoError(f"{archive} is encrypted; unpack it and give DATA=FOLDER")
    with bundle.open(member) as source:
        content = source.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise DemoError(f"{archive}: {member.filename!r} is larger than {MAX_FILE_BYTES >> 20} MiB")
    place.write_bytes(content)
    return len(content)
