"""The disagreement report: on which pictures candidate and serving model differ, as one page that needs no other file.
It must not decide anything, and must not load anything from elsewhere."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from PIL import Image

from catsdogs import images, key
from catsdogs.gate.comparison import Interval
from catsdogs.gate.evalset import Photo
from catsdogs.gate.page import CELLS, PAGE, TITLES
from catsdogs.gate.scoring import Scores
from catsdogs.pipeline import metrics

SHOWN = 24  # pictures of each kind
SIDE = 176  # pixels
QUALITY = 80

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Figures:
    """What the page tells beside the pictures; `serving` and `difference` are None for the first model."""

    metric: str
    candidate: Interval
    serving: Interval | None = None
    difference: Interval | None = None
    max_regression: float = 0.0


@dataclass(frozen=True)
class Group:
    """Pictures of one kind: all their rows, the worst first."""

    title: str
    rows: Sequence[int]


def groups(scores: Scores) -> list[Group]:
    """Pictures that one of the models alone has wrong, those first that the candidate has; without a serving model
    all that the candidate has wrong. The worst is the one whose wrong answer is the most confident."""
    right = [answers.argmax(axis=1) == scores.labels for answers in scores.answers]
    if len(right) == 1:
        return [Group("The candidate is wrong", _worst(scores.answers[0], ~right[0]))]
    return [
        Group("The candidate is wrong, the serving model right", _worst(scores.answers[0], right[1] & ~right[0])),
        Group("The candidate is right, the serving model wrong", _worst(scores.answers[1], right[0] & ~right[1])),
    ]


def _worst(answers: Array, chosen: Array) -> list[int]:
    rows = np.flatnonzero(chosen)
    return [int(row) for row in rows[np.argsort(-answers[rows].max(axis=1), kind="stable")]]


def thumbnails(pictures: Iterable[tuple[Photo, bytes]], names: set[str]) -> dict[str, str]:
    """JPEG data URIs of the pictures of these names, squares as a network sees them; the others are passed over."""
    found = {}
    for photo, data in pictures:
        if photo.name in names:
            buffer = io.BytesIO()
            pixels = images.decode(data, SIDE).permute(1, 2, 0).numpy()
            Image.fromarray(pixels).save(buffer, "JPEG", quality=QUALITY)
            found[photo.name] = f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
            if len(found) == len(names):
                break
    return found


def shown(found: Sequence[Group], scores: Scores) -> set[str]:
    """The names of the pictures that the page shows."""
    return {scores.photos[row].name for group in found for row in group.rows[:SHOWN]}


def page(said: Mapping[str, Any], figures: Figures, scores: Scores, thumbs: Mapping[str, str]) -> str:
    """The page from the verdict, the figures, the answers, and the data URIs by name of picture."""
    return PAGE.format(
        verdict=escape(said["verdict"]),
        passed="good" if said["verdict"] == "Accepted" else "bad",
        message=escape(said["message"]),
        candidate=said["candidate"][:12],
        against=f", against <code>{said['serving'][:12]}</code>" if figures.serving else "",
        evalset=said["evalSet"][:12],
        cards="".join(f"<div><b>{fact}</b><span>{escape(name)}</span></div>" for name, fact in _cards(said, figures)),
        difference=_difference(figures),
        cells=_cells(scores),
        classes=_classes(scores),
        pictures="".join(_group(group, scores, thumbs) for group in groups(scores)),
    )


def _cards(said: Mapping[str, Any], figures: Figures) -> list[tuple[str, str]]:
    def told(interval: Interval) -> str:
        return f"{interval.value:.3f}<small> {interval.low:.3f} to {interval.high:.3f}</small>"

    metric = TITLES[figures.metric]
    cards = [(f"candidate, {metric}", told(figures.candidate))]
    if figures.serving is not None:
        cards += [(f"serving, {metric}", told(figures.serving))]
        cards += [("answered differently", f"{said['disagreement']:.1%}")]
    cards.append(("pictures", f"{said['count']:,}"))
    if "smokeMillis" in said:
        cards.append(("ms, 95th percentile in the pod", f"{said['smokeMillis']:,.1f}"))
    return cards


def _difference(figures: Figures) -> str:
    """The interval of the difference as a drawing, with zero and the largest allowed regression."""
    found = figures.difference
    if found is None:
        return ""
    reach = 1.15 * max(abs(found.low), abs(found.high), figures.max_regression, 0.005)

    def x(value: float) -> float:
        return round(500 + 480 * value / reach, 1)

    allowed = x(-figures.max_regression)
    kind = "good" if found.low >= -figures.max_regression else "bad" if found.high < 0 else "open"
    caption = f"{found.value:+.3f}, 95 % interval {found.low:+.3f} to {found.high:+.3f}"
    return (
        f'<h2>Candidate less serving model</h2><svg class="{kind}" viewBox="0 0 1000 92" role="img" '
        f'aria-label="{caption}"><rect class="beyond" x="0" y="14" width="{allowed}" height="44"/>'
        f'<path class="zero" d="M500 8V64"/><path class="allowed" d="M{allowed} 8V64"/>'
        f'<path class="range" d="M{x(found.low)} 36H{x(found.high)}"/><circle cx="{x(found.value)}" cy="36" r="9"/>'
        f'<text x="508" y="84">equal</text><text x="{max(allowed - 8, 0)}" y="84" text-anchor="end">'
        f"{0 - figures.max_regression:+g} allowed</text></svg><p class=note>{caption}, on the same pictures.</p>"
    )


def _cells(scores: Scores) -> str:
    """How often both, one or none of the two is right."""
    if len(scores.answers) == 1:
        return ""
    ours, theirs = (answers.argmax(axis=1) == scores.labels for answers in scores.answers)
    counts = (ours & theirs, ours & ~theirs, ~ours & theirs, ~ours & ~theirs)
    rows = "".join(
        f"<tr><th>{title}<td>{int(count.sum()):,}<td>{count.mean():.1%}"
        for title, count in zip(CELLS, counts, strict=True)
    )
    return f"<section><h2>Who is right</h2><table><tr><th><th>Pictures<th>Share{rows}</table></section>"


def _classes(scores: Scores) -> str:
    """How many of each class each model finds."""
    rows = ""
    for label, name in enumerate(key.CLASSES):
        cells = ""
        for answers in scores.answers:
            found, there = int((answers.argmax(axis=1) == label)[scores.labels == label].sum()), _count(scores, label)
            low, high = metrics.wilson(found, there)
            cells += f"<td>{found / there:.1%} <small>{low:.1%} to {high:.1%}</small>"
        rows += f"<tr><th>{name}s found<td>{_count(scores, label):,}{cells}"
    heads = "".join(f"<th>{title}" for title in ("Candidate", "Serving")[: len(scores.answers)])
    return f"<section><h2>Each class</h2><table><tr><th><th>Pictures{heads}{rows}</table></section>"


def _count(scores: Scores, label: int) -> int:
    return int((scores.labels == label).sum())


def _group(group: Group, scores: Scores, thumbs: Mapping[str, str]) -> str:
    count = len(group.rows)
    lead = f"{count:,} of {len(scores.labels):,} pictures"
    if count > SHOWN:
        lead += f", the {SHOWN} worst of them"
    body = "".join(_figure(row, scores, thumbs) for row in group.rows[:SHOWN])
    return f"<h2>{group.title}</h2><p class=note>{lead}</p><div class=grid>{body}</div>"


def _figure(row: int, scores: Scores, thumbs: Mapping[str, str]) -> str:
    photo = scores.photos[row]
    said = "".join(
        f"<li>{who} <b class={_mark(answers[row], photo)}>{_answer(answers[row])}</b>"
        for who, answers in zip(("candidate", "serving"), scores.answers, strict=False)
    )
    name = escape(photo.name)
    return (
        f'<figure><img width={SIDE} height={SIDE} loading=lazy alt="{name}" src="{thumbs[photo.name]}">'
        f'<figcaption title="{name}">{name}</figcaption><ul><li>it is a <b>{photo.label}</b>{said}</ul></figure>'
    )


def _mark(answer: Array, photo: Photo) -> str:
    return "right" if key.CLASSES[int(answer.argmax())] == photo.label else "wrong"


def _answer(answer: Array) -> str:
    return f"{key.CLASSES[int(answer.argmax())]}, {answer.max():.0%} sure"
