"""Each command of README, docs and the other manuals is run by a test, or it says here why it can't be."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.documented import ROOT, Command, commands, of_page
from tests.contract.documented_rules import RULES, By, DryRun, Here, Nobody, Rule, rule_of

COMMANDS = commands()
HERE = sorted({each.text for each in COMMANDS if (found := rule_of(each)) and isinstance(found[2], Here)})
DRY_RUN = sorted({each.text for each in COMMANDS if (found := rule_of(each)) and isinstance(found[2], DryRun)})


def test_each_command_has_a_rule() -> None:
    without = [f"{each.page}: {each.text}" for each in COMMANDS if rule_of(each) is None]
    assert without == [], "run them in a test and say by which in documented_rules, or why they can't be run"


def test_each_rule_of_a_page_holds_for_a_command() -> None:
    used = {found[:2] for each in COMMANDS if (found := rule_of(each))}
    idle = [
        (page, words)
        for page, rules in RULES.items()
        for words in rules
        if page != "*" and (ROOT / page).exists() and (page, words) not in used
    ]
    assert idle == []


def there() -> Iterator[Rule]:
    """The rules of pages that are there."""
    for page, rules in RULES.items():
        if page == "*" or (ROOT / page).exists():
            yield from rules.values()


@pytest.mark.parametrize(
    "rule",
    sorted({rule for rule in there() if isinstance(rule, By)}, key=str),
    ids=lambda rule: f"{rule.file}: {rule.words}",
)
def test_the_test_that_a_rule_names_has_it(rule: By) -> None:
    assert rule.words in (ROOT / rule.file).read_text()


def test_nobody_says_why() -> None:
    assert all(rule.reason for rules in RULES.values() for rule in rules.values() if isinstance(rule, Nobody))


def test_a_command_without_a_rule_would_be_found() -> None:
    text = (
        "Run `helm install x`:\n\n```sh\n# a comment\nkubectl get pods \\\n  -A  # all\n```\n```\n$ curl x\nsaid\n```\n"
    )
    assert of_page(text) == ["kubectl get pods -A", "curl x", "helm install x"]
    assert rule_of(Command("README.md", "frobnicate now")) is None


@pytest.mark.parametrize("command", HERE)
def test_runs_in_the_checkout(command: str) -> None:
    run(command)


def test_targets_of_make_are_there() -> None:
    assert {"make demo", "make test", "make down"} <= set(DRY_RUN)
    for command in DRY_RUN:
        run(command.replace("make ", "make --dry-run ", 1))


def run(command: str) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    words = ["bash", "-o", "pipefail", "-c", command]
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
