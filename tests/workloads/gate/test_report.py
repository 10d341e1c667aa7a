"""The page: which pictures it shows in which order, and that nothing in a name or message gets out of its place."""

from __future__ import annotations

import numpy as np
import pytest

from catsdogs.gate import report
from catsdogs.gate.comparison import Interval
from catsdogs.gate.evalset import Photo
from catsdogs.gate.scoring import Scores
from tests.workloads.gate import planted


def scores(*dogs: list[float], names: str = "abcdef") -> Scores:
    """Cats a, b, c and dogs d, e, f; of each model the probability of a dog."""
    labels = np.array([0, 0, 0, 1, 1, 1])
    photos = [Photo(name, ("cat", "dog")[label], "0") for name, label in zip(names, labels, strict=True)]
    answers = [np.array([[1 - dog, dog] for dog in one]) for one in dogs]
    return Scores(photos, labels, answers, np.zeros((6, 16, 16), np.uint8))


def test_pictures_that_one_model_alone_has_wrong_the_most_confident_first() -> None:
    candidate, serving = [0.6, 0.9, 0.1, 0.9, 0.2, 0.3], [0.1, 0.1, 0.7, 0.9, 0.2, 0.8]

    found = report.groups(scores(candidate, serving))

    assert found == [
        report.Group("The candidate is wrong, the serving model right", [1, 5, 0]),
        report.Group("The candidate is right, the serving model wrong", [2]),
    ]


def test_the_first_model_shows_its_own_mistakes() -> None:
    assert report.groups(scores([0.6, 0.9, 0.1, 0.9, 0.2, 0.3])) == [
        report.Group("The candidate is wrong", [1, 4, 5, 0])
    ]


def test_as_many_pictures_as_fit_and_the_others_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "SHOWN", 2)
    found = scores([0.9, 0.8, 0.7, 0.9, 0.9, 0.9], [0.1, 0.1, 0.1, 0.9, 0.9, 0.9])

    assert report.shown(report.groups(found), found) == {"a", "b"}
    assert "3 of 6 pictures, the 2 worst of them" in page(found)


def page(found: Scores, message: str = "m") -> str:
    said = {
        "verdict": "WorseThanServing",
        "message": message,
        "candidate": "c" * 64,
        "serving": "5" * 64,
        "evalSet": "e" * 64,
        "count": 6,
        "disagreement": 0.5,
    }
    one = Interval(0.5, 0.2, 0.8)
    thumbs = {photo.name: "data:," for photo in found.photos}
    return report.page(said, report.Figures("accuracy", one, one, Interval(-0.1, -0.2, 0.0), 0.01), found, thumbs)


def test_names_and_messages_are_text_and_no_markup() -> None:
    evil = '"><script>alert(1)</script>'
    found = scores([0.9] * 6, [0.1] * 6)
    photos = [Photo(evil, photo.label, photo.sha256) for photo in found.photos]
    text = page(Scores(photos, found.labels, found.answers, found.thumbs), message=evil)

    assert "<script" not in text
    assert text.count("&lt;script&gt;") == 1 + 3 * len(photos)


def test_thumbnails_are_small_pictures_inside_the_page() -> None:
    data = planted.png(planted.pixels("cat", 0, np.random.default_rng(0)))
    pictures = ((Photo(name, "cat", "0"), data) for name in "abc")

    found = report.thumbnails(pictures, {"b"})

    assert found.keys() == {"b"}
    assert found["b"].startswith("data:image/jpeg;base64,/9j/")
    assert next(pictures)[0].name == "c", "it stops at the last that is shown"
