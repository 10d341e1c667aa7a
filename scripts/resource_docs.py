"""`python -m scripts.resource_docs`: write the tables of both resources' pages in docs anew from CRD and code.

It changes only what stands between its marks; with `--check` it changes nothing and says whether it would.
"""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mlops_operator.status import reasons, server_reasons

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"(<!-- table: (?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
BOUNDS = (("minimum", "at least {}"), ("maximum", "at most {}"))


@dataclass(frozen=True)
class Page:
    """A resource's page, and what its tables of reasons are made of, by the names that its marks use."""

    file: Path
    crd: Path
    reasons: Mapping[str, str]


def page(about: Page, text: str) -> str:
    """The page with each of its tables as CRD and code have it now; raises KeyError for a table nobody makes."""
    made = tables(about)
    return BLOCK.sub(lambda found: f"{found[1]}{made[found['name']]}\n{found[3]}", text)


def tables(about: Page) -> dict[str, str]:
    """The tables by the names that the page's marks use."""
    [version] = yaml.safe_load(about.crd.read_text())["spec"]["versions"]
    parts = version["schema"]["openAPIV3Schema"]["properties"]
    columns = version["additionalPrinterColumns"]
    return {
        "spec": table(("Field", "Type", "Default", "Meaning"), fields(parts["spec"], "spec", with_default=True)),
        "status": table(("Field", "Type", "Meaning"), fields(parts["status"], "status", with_default=False)),
        **about.reasons,
        "columns": table(
            ("Column", "Shown", "Meaning"),
            (
                (
                    c["name"].upper(),
                    "`-o wide`" if c.get("priority") else "always",
                    c.get("description", "Time since creation."),
                )
                for c in columns
            ),
        ),
        **selectable(version),
    }


def selectable(version: Mapping[str, Any]) -> dict[str, str]:
    """The fields that `--field-selector` takes, where there are any."""
    paths = [field["jsonPath"].removeprefix(".") for field in version.get("selectableFields", ())]
    return {"selectable": ", ".join(f"`{path}`" for path in paths)} if paths else {}


def fields(schema: Mapping[str, Any], path: str, *, with_default: bool) -> Iterator[tuple[str, ...]]:
    """A row for each field below `schema`, in the order of the CRD."""
    for name, field in schema["properties"].items():
        where = f"{path}.{name}"
        default = (shown(field),) if with_default else ()
        yield (f"`{where}`", kind(field), *default, meaning(field))
        inner = field.get("items", field)
        if "properties" in inner:
            yield from fields(inner, where + "[]" * ("items" in field), with_default=with_default)


def kind(field: Mapping[str, Any]) -> str:
    """The type, with the values or the range that it may have."""
    if "items" in field:
        return f"list of {field['items']['type']}"
    if values := field.get("additionalProperties"):
        return f"{values['type']}s by name"
    if values := field.get("enum"):
        return ", ".join(f"`{value}`" for value in values)
    bounds = ", ".join(text.format(field[name]) for name, text in BOUNDS if name in field)
    return f"{field['type']}, {bounds}" if bounds else str(field["type"])


def shown(field: Mapping[str, Any]) -> str:
    """The default as YAML writes it, empty for none."""
    default = field.get("default")
    if default is None or default == {}:
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def sentence(rule: str) -> str:
    """A rule's message, which begins with "must" or with the field's name."""
    return f"It {rule}" if rule.startswith("must") else f"{rule[0].upper()}{rule[1:]}"


def meaning(field: Mapping[str, Any]) -> str:
    """The description, and whatever else the API server insists on."""
    rules = [rule["message"] for rule in field.get("x-kubernetes-validations", ()) if "oldSelf" not in rule["rule"]]
    return " ".join([str(field["description"]).strip(), *(f"{sentence(rule)}." for rule in rules)])


def of_runs(rows: Iterable[reasons.Reason]) -> str:
    """A table of a TrainingRun's reasons."""
    return table(("Reason", "Given when", "What to do"), ((f"`{r.name}`", f"{r.when}.", r.hint) for r in rows))


def of_servers(rows: Iterable[server_reasons.ServerReason]) -> str:
    """A table of a ModelServer's reasons."""
    head = ("Reason", "In", "Given when", "What to do")
    return table(head, ((f"`{r.name}`", told(r.conditions), f"{r.when}.", r.hint) for r in rows))


def told(conditions: Iterable[str]) -> str:
    """Conditions with their status, each in code marks."""
    return ", ".join(f"`{condition}`" for condition in conditions)


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


TRAINING_RUN = Page(
    ROOT / "docs" / "trainingrun.md",
    ROOT / "crds" / "trainingruns.mlops.cats-dogs.io.yaml",
    {
        "active": of_runs(reasons.ACTIVE),
        "success": of_runs(reasons.SUCCESS),
        "failure": of_runs(reasons.FAILURE),
    },
)
MODEL_SERVER = Page(
    ROOT / "docs" / "modelserver.md",
    ROOT / "crds" / "modelservers.mlops.cats-dogs.io.yaml",
    {
        "serving": of_servers(server_reasons.SERVING),
        "under-way": of_servers(server_reasons.UNDER_WAY),
        "refused": of_servers(server_reasons.REFUSED),
        "held-up": of_servers(server_reasons.HELD_UP),
        "mirrors": of_servers(server_reasons.MIRRORS),
    },
)
PAGES = (TRAINING_RUN, MODEL_SERVER)


def main(arguments: list[str]) -> int:
    """Write the pages, or with --check say which are out of date."""
    code = 0
    for about in PAGES:
        old = about.file.read_text(encoding="utf-8")
        new = page(about, old)
        if "--check" not in arguments:
            about.file.write_text(new, encoding="utf-8")
        elif new != old:
            print(f"{about.file.relative_to(ROOT)} is out of date: python -m scripts.resource_docs", file=sys.stderr)
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
