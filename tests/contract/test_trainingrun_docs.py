"""docs/trainingrun.md says what CRD and code say, and every reason that the code gives is in its list."""

import re
from pathlib import Path

from catsdogs.errors import REASONS
from mlops_operator.status import reasons
from mlops_operator.status.failure import _DISRUPTIONS, EXIT_REASONS
from mlops_operator.status.pod import STAGE_REASONS
from scripts import trainingrun_docs

ROOT = Path(__file__).parents[2]
OPERATOR = ROOT / "operator" / "mlops_operator"
# Words that look like a reason in the code and are something else: kinds, types of conditions, states of pods.
GIVEN = re.compile(
    r'(?:_fail\([^"]*|ended\([^"]*|active\([^"]*|Waiting\(|capsule\(run, |BucketFailure\(|return )"([A-Z][A-Za-z]+)"'
)
OTHER = {"True", "Queued", "Suspended"}


def test_the_page_is_up_to_date() -> None:
    text = trainingrun_docs.PAGE.read_text()
    assert trainingrun_docs.page(text) == text, "python -m scripts.trainingrun_docs"


def test_a_changed_table_would_be_found() -> None:
    text = trainingrun_docs.PAGE.read_text()
    assert text.count("<!-- table: ") == len(trainingrun_docs.tables())
    assert trainingrun_docs.page(text.replace("`OOMKilled`", "`OutOfMemory`")) != text.replace(
        "OOMKilled", "OutOfMemory"
    )


def test_every_reason_that_the_code_gives_is_listed() -> None:
    listed = {reason.name for reason in (*reasons.ACTIVE, *reasons.SUCCESS, *reasons.FAILURE)}
    files = [OPERATOR / "reconcile" / f"training_{name}.py" for name in ("run", "job", "pod")]
    files += [OPERATOR / "status" / "pod.py", OPERATOR / "status" / "failure.py", OPERATOR / "bucket.py"]
    given = {word for file in files for word in GIVEN.findall(file.read_text())}
    assert {"DeadlineExceeded", "JobLost", "ImageNotAllowed", "QuotaExceeded", "BucketNotFound"} <= given
    assert given - OTHER <= listed
    assert {*STAGE_REASONS.values(), *EXIT_REASONS.values(), *_DISRUPTIONS.values()} <= listed


def test_what_a_stage_may_say_is_listed() -> None:
    assert set(REASONS.values()) <= set(reasons.HINTS)


def test_every_failure_says_what_to_do() -> None:
    assert [reason.name for reason in reasons.FAILURE if not reason.hint] == []
    names = [reason.name for reason in (*reasons.ACTIVE, *reasons.SUCCESS, *reasons.FAILURE)]
    assert len(names) == len(set(names))


def test_links_of_the_page_lead_somewhere() -> None:
    text = trainingrun_docs.PAGE.read_text()
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert (trainingrun_docs.PAGE.parent / target).exists(), target
    headings = {
        re.sub(r"[^a-z0-9 -]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in text.splitlines()
        if line[:1] == "#"
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= headings
