"""Each alert fires when it should and is silent when not, as promtool evaluates it, and leads to its runbook."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from devcluster import monitoring, programs
from devcluster.progress import Reporter
from mlops_operator.handlers.background import LIST_MAX_AGE
from mlops_operator.reconcile.model_source import WAITING
from tests.contract.monitored import ROOT, TARGET, alerts, asked, exported, groups, listed, records, resources

TESTS = sorted((Path(__file__).parent / "alerts").glob("*.yaml"))
RUNBOOK = ("## Symptom", "## What it means", "## First three commands", "## Usual causes", "## How to end it")


@pytest.fixture(scope="session")
def promtool() -> Path:
    """promtool, built from its pinned module where it is not in the cache."""
    return programs.ensure(["promtool"], Reporter())["promtool"]


@pytest.fixture
def rule_files(tmp_path: Path) -> Path:
    """A folder with a file for each group, in Prometheus's own form."""
    for name, group in groups().items():
        (tmp_path / f"{name}.rules.yaml").write_text(yaml.safe_dump({"groups": [group]}))
    return tmp_path


def run(promtool: Path, *words: str | Path) -> str:
    done = subprocess.run([promtool, *words], text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_rules_are_valid(promtool: Path, rule_files: Path) -> None:
    said = run(promtool, "check", "rules", "--lint=all", "--lint-fatal", *sorted(rule_files.glob("*.rules.yaml")))
    assert said.count("SUCCESS") == len(groups())


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.stem)
def test_alerts_fire_when_they_should(promtool: Path, rule_files: Path, file: Path) -> None:
    (rule_files / file.name).write_text(file.read_text())
    assert "SUCCESS" in run(promtool, "test", "rules", rule_files / file.name)


def test_a_wrong_expectation_is_found(promtool: Path, rule_files: Path) -> None:
    [latency] = [file for file in TESTS if file.stem == "latency"]
    test = yaml.safe_load(latency.read_text())
    test["tests"][0]["alert_rule_test"][1]["exp_alerts"] = []
    (rule_files / "wrong.yaml").write_text(yaml.safe_dump(test))
    done = subprocess.run([promtool, "test", "rules", rule_files / "wrong.yaml"], capture_output=True, check=False)
    assert done.returncode == 1


def test_every_alert_is_seen_to_fire_and_to_be_silent() -> None:
    fires, silent = set(), set()
    for file in TESTS:
        for test in yaml.safe_load(file.read_text())["tests"]:
            for case in test["alert_rule_test"]:
                (fires if case["exp_alerts"] else silent).add(case["alertname"])
    assert fires == silent == set(alerts())


@pytest.mark.parametrize(("name", "alert"), alerts().items(), ids=str)
def test_an_alert_says_how_bad_it_is_and_what_to_do(name: str, alert: dict[str, Any]) -> None:
    assert alert["labels"] == {"severity": alert["labels"]["severity"]}
    assert alert["labels"]["severity"] in ("page", "ticket")
    assert set(alert["annotations"]) == {"summary", "runbook_url"}
    text = (ROOT / alert["annotations"]["runbook_url"]).read_text()
    assert name in text.split("## Symptom")[0]
    assert [line for line in text.splitlines() if line.startswith("## ")] == list(RUNBOOK)
    commands = re.findall(r"^(?:\$ )?(?:kubectl|curl) ", text.split(RUNBOOK[2])[1].split(RUNBOOK[3])[0], re.MULTILINE)
    assert len(commands) == 3


def test_the_page_lists_every_alert_and_every_metric() -> None:
    page = (ROOT / "docs" / "monitoring.md").read_text()
    listed = dict(
        re.findall(r"^\| `(\w+)` \| (\w+) \| .* \| \[[\w-]+\]\(runbooks/[\w-]+\.md\) \|$", page, re.MULTILINE)
    )
    assert listed == {name: alert["labels"]["severity"] for name, alert in alerts().items()}
    told = page + (ROOT / "docs" / "server.md").read_text()
    names = {re.sub(r"_(bucket|sum|count)$", "", name) for name in exported() if not name.startswith("process_")}
    assert [name for name in sorted(names - {"up"}) if f"`{name}`" not in told] == []


def test_every_runbook_is_of_an_alert() -> None:
    used = {ROOT / alert["annotations"]["runbook_url"] for alert in alerts().values()}
    assert used == set((ROOT / "docs" / "runbooks").glob("*.md"))


def test_rules_ask_for_what_is_exported() -> None:
    known = exported() | {name: set() for name in records()}
    own = {"model_server", *TARGET}
    for group in groups().values():
        for rule in group["rules"]:
            metrics = asked(rule["expr"])
            assert metrics.keys() <= known.keys(), rule
            for metric, labels in metrics.items():
                assert labels <= known[metric] | own, rule
            assert listed(rule["expr"]) <= set().union(own, *(known[metric] for metric in metrics), {"label"}), rule


def test_rules_hold_nothing_that_an_installer_would_fill_in_and_no_label_of_the_collection() -> None:
    for resource in resources():
        assert "$" not in yaml.safe_dump(resource)
    given = [rule.get("labels", {}) for group in groups().values() for rule in group["rules"]]
    assert not any(label in labels for labels in given for label in (*TARGET, *monitoring.PLACE))


def test_numbers_that_rules_and_code_share() -> None:
    assert f"> {LIST_MAX_AGE:.0f}" in alerts()["OperatorBlind"]["expr"]
    assert WAITING in alerts()["NoReadyModel"]["expr"]


def test_rules_are_scoped_to_their_namespace_as_google_does(promtool: Path) -> None:
    [operator, servers] = resources()
    for rules in (operator, servers):
        scoped = monitoring.scoped(monitoring.rule_groups(rules), "team", promtool)
        for group in scoped:
            for rule in group["rules"]:
                metrics = asked(rule["expr"])
                assert rule["expr"].count('namespace="team"') >= len(metrics)
                assert rule["labels"]["namespace"] == "team"
        assert len(scoped) == len(rules["spec"]["groups"])
