"""`python -m scripts.trainingrun_docs`: write the tables of docs/trainingrun.md anew from CRD and code.

It changes only what stands between its marks; with `--check` it changes nothing and says whether it would.
"""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from mlops_operator.status.reasons import ACTIVE, FAILURE, SUCCESS, Reason

ROOT = Path(__file__).parents[1]
CRD = ROOT / "crds" / "trainingruns.mlops.cats-dogs.io.yaml"
PAGE = ROOT / "docs" / "trainingrun.md"
BLOCK = re.compile(r"(<!-- table: (?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
BOUNDS = (("minimum", "at least {}"), ("maximum", "at most {}"))


def page(text: str) -> str:
    """The page with each of its tables as CRD and code have it now; raises KeyError for a table nobody makes."""
    made = tables()
    return BLOCK.sub(lambda found: f"{found[1]}{made[found['name']]}\n{found[3]}", text)


def tables() -> dict[str, str]:
    """The tables by the names that the page's marks use."""
    [version] = yaml.safe_load(CRD.read_text())["spec"]["versions"]
    parts = version["schema"]["openAPIV3Schema"]["properties"]
    columns = version["additionalPrinterColumns"]
    return {
        "spec": table(("Field", "Type", "Default", "Meaning"), fields(parts["spec"], "spec", with_default=True)),
        "status": table(("Field", "Type", "Meaning"), fields(parts["status"], "status", with_default=False)),
        "active": reasons(ACTIVE),
        "success": reasons(SUCCESS),
        "failure": reasons(FAILURE),
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
        "selectable": ", ".join(f"`{field['jsonPath'].removeprefix('.')}`" for field in version["selectableFields"]),
    }


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


def meaning(field: Mapping[str, Any]) -> str:
    """The description, and whatever else the API server insists on."""
    rules = [rule["message"] for rule in field.get("x-kubernetes-validations", ()) if "oldSelf" not in rule["rule"]]
    return " ".join([str(field["description"]).strip(), *(f"It {rule}." for rule in rules)])


def reasons(rows: Iterable[Reason]) -> str:
    """A table of reasons."""
    return table(("Reason", "Given when", "What to do"), ((f"`{r.name}`", f"{r.when}.", r.hint) for r in rows))


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def main(arguments: list[str]) -> int:
    """Write the page, or with --check say whether it is out of date."""
    old = PAGE.read_text(encoding="utf-8")
    new = page(old)
    if "--check" not in arguments:
        PAGE.write_text(new, encoding="utf-8")
    elif new != old:
        print(f"{PAGE.relative_to(ROOT)} is out of date: python -m scripts.trainingrun_docs", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
