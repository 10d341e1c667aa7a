"""Fills the ${NAME} of manifests from the environment: `render.py [KIND/NAME] <manifests`, of which it may take one.

It must not leave one unfilled, nor put anything in a manifest that is more than a plain word.
"""

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from actions import DeliveryError, run, where

PLACEHOLDER = re.compile(r"\$\{(\w+)\}")
PLAIN = re.compile(r"[\w.:/@+-]*")
FOLDER = Path(__file__).parents[2] / "deploy" / "delivery"


def rendered(text: str, values: Mapping[str, str]) -> str:
    """The manifest with its values, which may be empty.

    Raises DeliveryError naming a value that is missing, or is no plain word: YAML could be hidden in it.
    """

    def value(found: re.Match[str]) -> str:
        name = found[1]
        if name not in values:
            raise DeliveryError("Setting missing", f"{name} is not set; {where(name)}")
        if not PLAIN.fullmatch(values[name]):
            raise DeliveryError(
                "Setting wrong", f"{name} has characters that are not letters, digits or .:/@+-: correct it"
            )
        return values[name]

    return PLACEHOLDER.sub(value, text)


def manifest(name: str, **values: str) -> str:
    """A manifest of deploy/delivery (MANIFESTS names another folder), with the environment and `values`."""
    folder = Path(os.environ.get("MANIFESTS") or FOLDER)
    return rendered((folder / name).read_text(), {**os.environ, **values})


def only(text: str, kind: str, name: str) -> str:
    """The one object of that kind and name, as kustomize writes it. Raises DeliveryError when there is none."""
    for document in re.split(r"^---$", text, flags=re.MULTILINE):
        if re.search(rf"^kind: {kind}$", document, re.MULTILINE) and re.search(
            rf"^  name: {name}$", document, re.MULTILINE
        ):
            return document
    raise DeliveryError("Not in the overlay", f"the overlay has no {kind} {name}: does it begin with deploy/base?")


def main() -> None:
    """Read manifests, write them filled in."""
    text = sys.stdin.read()
    if sys.argv[1:]:
        text = only(text, *sys.argv[1].split("/"))
    sys.stdout.write(rendered(text, os.environ))


if __name__ == "__main__":
    run(main)
