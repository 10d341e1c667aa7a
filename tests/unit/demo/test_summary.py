"""The last page that a person sees."""

import io

from rich.console import Console, RenderableType

from demo.serving import Answer
from demo.summary import accuracy, answers, places, timings
from devcluster.progress import Timing


def shown(renderable: RenderableType) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=100).print(renderable)
    return [line.strip() for line in out.getvalue().splitlines() if line.strip()]


def test_each_answer_has_its_mark() -> None:
    table = answers([Answer("Cat/4.jpg", "cat", "cat", 0.983, 14.2), Answer("Dog/4.jpg", "dog", "cat", 0.51, 15.0)])

    assert shown(table)[-2:] == [
        "✓   Cat/4.jpg    cat      98.3%        14 ms",
        "✗   Dog/4.jpg    cat      51.0%        15 ms",
    ]


def test_accuracy_comes_with_its_interval_and_says_when_it_is_of_drawings() -> None:
    status = {
        "model": {
            "testAccuracy": "0.7130",
            "testAccuracyLow": "0.6600",
            "testAccuracyHigh": "0.7610",
            "testCount": 300,
        }
    }

    assert accuracy(status, drawn=False) == (
        "Accuracy 71.3% on 300 photographs of the test split (95 % interval 66.0% to 76.1%)"
    )
    assert "300 drawings of the test split" in accuracy(status, drawn=True)


def test_only_the_outermost_steps_are_added_up() -> None:
    steps = [
        Timing("Images", 5, True, 0),
        Timing("deeper", 9, True, 2),
        Timing("nothing to do", 0.2, True, 1),
        Timing("Train", 65, True, 1),
        Timing("TrainingRun", 70, True, 0),
    ]

    out = io.StringIO()
    Console(file=out, width=100).print(timings(steps))

    assert [line.rstrip() for line in out.getvalue().splitlines()[3:7]] == [
        "  Images             5.0 s",
        "  TrainingRun   1 min 10 s",
        "    Train       1 min 05 s",
        "  all           1 min 15 s",
    ]


def test_the_addresses() -> None:
    assert shown(
        places("http://10.0.0.1/", "http://10.0.0.2:5000", "gs://b/model.pt", "export KUBECONFIG=/k", "make down")
    ) == [
        "Try it in a browser  http://10.0.0.1/",
        "MLflow               http://10.0.0.2:5000",
        "Model                gs://b/model.pt",
        "kubectl              export KUBECONFIG=/k",
        "Watch                kubectl get -n cats-dogs trun,msrv",
        "Remove all of it     make down",
    ]
