"""One judgement from beginning to end: both models, the evaluation set, sanity, comparison, smoke, report, verdict.
It must not find a verdict on what it could not look at: then it raises."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catsdogs.errors import data_error
from catsdogs.gate import decision, evalset, models, samples, smoke
from catsdogs.gate.decision import ACCEPTED, Refused, Ruling
from catsdogs.gate.evalset import EvalSet, MismatchError
from catsdogs.gate.models import Model, ModelError
from catsdogs.gate.settings import Address, Settings
from catsdogs.pipeline import bucket as store

if TYPE_CHECKING:
    from catsdogs.gate.report import Figures
    from catsdogs.gate.scoring import Scores

# Who is judged, in the order in which models, answers and names stand everywhere.
CANDIDATE, SERVING = "candidate", "serving model"


@dataclass(frozen=True)
class Case:
    """All that a judgement looks at; `models` and `scores.answers` are the candidate and, if compared, the other."""

    settings: Settings
    bucket: Any
    models: Sequence[Model]
    evaluation: EvalSet
    scores: Scores
    figures: Figures


def judge(settings: Settings) -> dict[str, Any]:
    """The verdict, as verdict.json has it. Raises StageError when none can be found: that says nothing of the model."""
    said: dict[str, Any] = {
        "candidate": settings.candidate.sha256,
        "serving": settings.serving.sha256 if settings.serving else "",
        "metric": settings.metric,
        "evalSet": settings.eval_set,
    }
    try:
        ruling = _asked_alone(settings, said) if settings.policy == "None" else _weigh(_case(settings), said)
    except Refused as refused:
        ruling = refused.ruling
    return {"ok": True, "verdict": ruling.verdict, "message": ruling.message, **said}


def _asked_alone(settings: Settings, said: dict[str, Any]) -> Ruling:
    """The ruling where nothing is scored: the candidate's pod is asked, and that is all."""
    bucket = store.open_bucket(settings.candidate.address.bucket)
    [candidate] = _models(settings, bucket)
    refusal = _smoke(settings, bucket, candidate, said)
    return refusal or Ruling(ACCEPTED, "its pod answers; gate.policy is None, so nothing was scored")


def _case(settings: Settings) -> Case:
    """Fetch and measure. Raises Refused for what is a verdict already."""
    bucket = store.open_bucket(settings.candidate.address.bucket)
    judged = list(_models(settings, bucket))
    try:
        evaluation = _evaluation(settings, bucket, judged[0])
        scores = _scores(bucket, evaluation, judged)
    except MismatchError as error:
        raise Refused("EvalSetMismatch", f"{error.message}: {error.hint}") from None
    return Case(settings, bucket, judged, evaluation, scores, _figures(settings, scores))


def _models(settings: Settings, bucket: Any) -> Iterator[Model]:
    try:
        yield models.load(bucket, settings.candidate)
    except ModelError as error:
        raise Refused("SanityFailed", f"the candidate can't be served: {error}") from None
    if settings.serving is not None and settings.policy == "Compare":
        try:
            yield models.load(store.open_bucket(settings.serving.address.bucket), settings.serving)
        except ModelError as error:
            raise data_error(
                f"the serving model can't be compared with: {error}", "restore the file, or set gate.policy to Minimum"
            ) from None


def _evaluation(settings: Settings, bucket: Any, candidate: Model) -> EvalSet:
    if settings.eval_set:
        return evalset.read(bucket, settings.eval_set)
    if candidate.data_version:
        return evalset.freeze(bucket, candidate.data_version)
    raise MismatchError(f"no model.json beside {candidate.file.address} names the data of the candidate")


def _scores(bucket: Any, evaluation: EvalSet, judged: Sequence[Model]) -> Scores:
    import numpy as np

    from catsdogs.gate import scoring

    scores = scoring.score(evalset.pictures(bucket, evaluation), judged)
    if not np.isfinite(scores.answers[0]).all():
        raise Refused("SanityFailed", "the candidate answers with what is no probability: look at its training")
    if not np.isfinite(scores.answers[-1]).all():
        raise data_error("the serving model answers with what is no probability", "set gate.policy to Minimum")
    return scores


def _figures(settings: Settings, scores: Scores) -> Figures:
    from catsdogs.gate import comparison
    from catsdogs.gate.report import Figures

    metric, labels = settings.metric, scores.labels
    candidate, *others = (comparison.of_one(metric, answers, labels) for answers in scores.answers)
    if not others:
        return Figures(metric, candidate)
    difference = comparison.of_difference(metric, scores.answers[0], scores.answers[1], labels)
    return Figures(metric, candidate, others[0], difference, settings.max_regression)


def _weigh(case: Case, said: dict[str, Any]) -> Ruling:
    """The ruling; what is measured on the way is added to `said`."""
    said |= {"evalSet": case.evaluation.digest, "count": len(case.scores.labels), **_told(case)}
    ruling = _sanity(case, said) or decision.rule(
        case.settings, said["count"], case.figures.candidate, case.figures.difference
    )
    if ruling.verdict == ACCEPTED and case.settings.candidate_url:
        ruling = _smoke(case.settings, case.bucket, case.models[0], said) or ruling
    said["report"] = str(_report(case, {"verdict": ruling.verdict, "message": ruling.message, **said}))
    return ruling


def _told(case: Case) -> dict[str, float]:
    """The figures as the verdict has them, at four decimals."""
    figures, found = case.figures, dict[str, float]()
    for name, interval in (("candidate", figures.candidate), ("serving", figures.serving)):
        if interval is not None:
            found |= {f"{name}Value": interval.value, f"{name}Low": interval.low, f"{name}High": interval.high}
    if (apart := figures.difference) is not None:
        found |= {"difference": apart.value, "differenceLow": apart.low, "differenceHigh": apart.high}
        ours, theirs = (answers.argmax(axis=1) for answers in case.scores.answers)
        found["disagreement"] = float((ours != theirs).mean())
    return {name: round(value, 4) for name, value in found.items()}


def _sanity(case: Case, said: dict[str, Any]) -> Ruling | None:
    """SanityFailed for answers that tell nothing, and for an evaluation set that a model has seen.

    What the candidate was trained on must be known. For the serving model it is a warning when it is not: else none
    could ever take the place of one that came from elsewhere.
    """
    if (ruling := decision.sane(case.scores.answers[0], case.scores.labels)) is not None:
        return ruling
    for who, model in zip((CANDIDATE, SERVING), case.models, strict=False):
        try:
            leak = _leak(case, model)
        except MismatchError as error:
            unknown = f"what the {who} was trained on is not known, so a leak can't be ruled out: {error.message}"
            if who == CANDIDATE:
                return Ruling("SanityFailed", unknown)
            said["warning"] = unknown
            continue
        if leak:
            return Ruling("SanityFailed", f"the {who} has seen {leak}; {evalset.FREEZE}")
    return None


def _leak(case: Case, model: Model) -> str:
    """How much of the evaluation set the model has seen, in words; "" for nothing."""
    from catsdogs.gate import leaks

    photos, size = case.scores.photos, case.models[0].predictor.image_size
    home = store.open_bucket(model.file.address.bucket)
    found = leaks.find(home, model.data_version, photos, case.scores.thumbs, size)
    return f"{found.count} of {len(photos)} pictures of the evaluation set: {found.example}" if found else ""


def _smoke(settings: Settings, bucket: Any, candidate: Model, said: dict[str, Any]) -> Ruling | None:
    millis, failure = smoke.ask(
        settings.candidate_url,
        candidate.file.sha256,
        [*samples.generated(), *samples.golden(bucket)],
        lambda data: candidate.predictor.predict(data).probabilities,
        settings.smoke_max_millis,
    )
    said["smokeMillis"] = round(millis, 1)
    return Ruling("SmokeFailed", failure) if failure else None


def _report(case: Case, said: dict[str, Any]) -> Address:
    """Write report.html; returns where it is."""
    from catsdogs.gate import report

    names = report.shown(report.groups(case.scores), case.scores)
    thumbs = report.thumbnails(evalset.pictures(case.bucket, case.evaluation), names) if names else {}
    text = report.page(said, case.figures, case.scores, thumbs)
    return publish(case.settings.report, "report.html", text.encode())


def publish(prefix: Address, name: str, data: bytes) -> Address:
    """Write one object below `prefix`; returns its address."""
    target = Address(prefix.bucket, f"{prefix.path.rstrip('/')}/{name}")
    with tempfile.TemporaryDirectory(prefix="report-") as folder:
        file = Path(folder, name)
        file.write_bytes(data)
        store.upload(store.open_bucket(target.bucket), target.path, file)
    return target
