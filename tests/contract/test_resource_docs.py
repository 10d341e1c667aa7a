"""The resources' pages say what CRD and code say, and every reason that the code gives is in its list."""

import ast
import re
from pathlib import Path

import pytest

from catsdogs.errors import REASONS
from mlops_operator.status import reasons, server_reasons
from mlops_operator.status.failure import _DISRUPTIONS, EXIT_REASONS
from mlops_operator.status.pod import STAGE_REASONS
from scripts import resource_docs
from scripts.resource_docs import PAGES, Page

ROOT = Path(__file__).parents[2]
OPERATOR = ROOT / "operator" / "mlops_operator"
# Words that look like a reason in the code and are something else: kinds, types of conditions, states of pods.
GIVEN = re.compile(
    r'(?:_fail\([^"]*|ended\([^"]*|active\([^"]*|Waiting\(|capsule\(run, |BucketFailure\(|return )"([A-Z][A-Za-z]+)"'
)
OTHER = {"True", "Queued", "Suspended"}
OTHER_OF_SERVERS = {
    *("True", "False", "Unknown", "None", "Normal", "Warning", "ClusterIP", "Complete", "Failed", "Progressing"),
    *("Deployment", "Job", "Succeeded"),
    *("Ready", "Settled", "CandidateAccepted", "RolledBack", "Recorded", "Routed", "Monitored"),
    *("Refused", "Superseded"),  # outcomes in the history
    *("Candidate", "ByHand", "Back"),  # kinds of a rollout
    *("CrashLoopBackOff", "Error", "OOMKilled", "NotProgressing"),  # a pod's own word, or the Deployment's
}


@pytest.mark.parametrize("about", PAGES, ids=lambda about: about.file.stem)
def test_the_page_is_up_to_date(about: Page) -> None:
    text = about.file.read_text()
    assert resource_docs.page(about, text) == text, "python -m scripts.resource_docs"


@pytest.mark.parametrize(
    ("about", "reason"), [(resource_docs.TRAINING_RUN, "Preempted"), (resource_docs.MODEL_SERVER, "SanityFailed")]
)
def test_a_changed_table_would_be_found(about: Page, reason: str) -> None:
    text = about.file.read_text()
    assert text.count("<!-- table: ") == len(resource_docs.tables(about))
    changed = text.replace(f"| `{reason}` |", "| `Other` |")
    assert changed != text
    assert resource_docs.page(about, changed) == text


def test_every_reason_that_the_code_gives_is_listed() -> None:
    listed = {reason.name for reason in (*reasons.ACTIVE, *reasons.SUCCESS, *reasons.FAILURE)}
    files = [OPERATOR / "reconcile" / f"training_{name}.py" for name in ("run", "job", "pod")]
    files += [OPERATOR / "status" / "pod.py", OPERATOR / "status" / "failure.py", OPERATOR / "bucket.py"]
    given = {word for file in files for word in GIVEN.findall(file.read_text())}
    assert {"DeadlineExceeded", "JobLost", "ImageNotAllowed", "QuotaExceeded", "BucketNotFound"} <= given
    assert given - OTHER <= listed
    assert {*STAGE_REASONS.values(), *EXIT_REASONS.values(), *_DISRUPTIONS.values()} <= listed


def test_a_servers_reasons_are_those_of_the_code_and_no_others() -> None:
    names = ("admission", "rollout", "ledger", "model_source", "model_server", "model_server_status")
    files = [*(OPERATOR / "reconcile" / f"{name}.py" for name in names), OPERATOR / "status" / "verdict.py"]
    given = {word for file in files for word in _words(file)}
    assert given - OTHER_OF_SERVERS == {reason.name for reason in server_reasons.ALL}
    assert len({reason.name for reason in server_reasons.ALL}) == len(server_reasons.ALL)


def _words(file: Path) -> set[str]:
    """The string literals of a module that could be a reason."""
    literals = (node.value for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Constant))
    return {word for word in literals if isinstance(word, str) and re.fullmatch(r"([A-Z]+[a-z]+)+", word)}


def test_what_a_stage_may_say_is_listed() -> None:
    assert set(REASONS.values()) <= set(reasons.HINTS)


def test_every_failure_says_what_to_do() -> None:
    assert [reason.name for reason in reasons.FAILURE if not reason.hint] == []
    names = [reason.name for reason in (*reasons.ACTIVE, *reasons.SUCCESS, *reasons.FAILURE)]
    assert len(names) == len(set(names))
    held_up = (*server_reasons.REFUSED, *server_reasons.HELD_UP)
    assert [reason.name for reason in held_up if not reason.hint] == []


@pytest.mark.parametrize("about", PAGES, ids=lambda about: about.file.stem)
def test_links_of_the_page_lead_somewhere(about: Page) -> None:
    text = about.file.read_text()
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert (about.file.parent / target).exists(), target
    headings = {
        re.sub(r"[^a-z0-9 -]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in text.splitlines()
        if line[:1] == "#"
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= headings
