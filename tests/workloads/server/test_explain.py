"""The map of what the network looked at: it adds up to the answer, and comes with the same answer as /predict."""

from __future__ import annotations

import pytest
import torch
from starlette.testclient import TestClient

from catsdogs import images, model
from catsdogs.server import api, heatmap
from catsdogs.server.predictor import Predictor
from tests.workloads.server.samples import picture

JPEG = picture(size=(90, 70))


@pytest.mark.parametrize("architecture", model.ARCHITECTURES)
@pytest.mark.parametrize("size", [32, 96, 100])
def test_the_map_adds_up_to_the_difference_of_the_logits(architecture: str, size: int) -> None:
    torch.manual_seed(3)
    metadata = {"architecture": architecture, "imageSize": size, "classes": ["cat", "dog"], "temperature": 1.7}
    predictor = Predictor(model.build(architecture).eval(), metadata)
    with torch.inference_mode():
        logits = predictor.module(model.normalize(images.decode(JPEG, size).unsqueeze(0)))[0]
    expected = predictor.predict(JPEG)

    found = heatmap.explain(predictor, JPEG)

    assert found.label == expected.label
    assert found.probabilities == pytest.approx(expected.probabilities, abs=1e-4)
    total = sum(map(sum, found.values)) + found.bias
    assert total == pytest.approx(abs(float(logits[0] - logits[1])), abs=1e-3)


def test_a_place_gives_what_its_features_are_worth() -> None:
    """Two maps of 1 x 2 places: the mean of the first speaks for cat, the maximum of the second for dog."""
    head = torch.nn.Linear(4, 2)
    weight = torch.tensor([[2.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 3.0]])
    head.weight, head.bias = torch.nn.Parameter(weight), torch.nn.Parameter(torch.tensor([0.5, 0.25]))
    maps = torch.tensor([[[4.0, 8.0]], [[1.0, 5.0]]])
    with torch.inference_mode():
        places, bias = heatmap.contributions(head, maps)
    assert places.tolist() == [[[4.0, 8.0]], [[0.0, 15.0]]]
    assert bias.tolist() == [0.5, 0.25]


def test_places_that_share_a_maximum_share_what_it_gives() -> None:
    head = torch.nn.Linear(2, 2)
    head.weight = torch.nn.Parameter(torch.tensor([[0.0, 6.0], [0.0, 0.0]]))
    with torch.inference_mode():
        places, _ = heatmap.contributions(head, torch.tensor([[[2.0, 2.0, 0.0]]]))
    assert places.tolist() == [[[6.0, 6.0, 0.0]], [[0.0, 0.0, 0.0]]]


def test_the_endpoint(client: TestClient, context: api.Context) -> None:
    answer = client.post("/explain", files={"file": JPEG})
    assert answer.status_code == 200
    body, plain = answer.json(), client.post("/predict", files={"file": JPEG}).json()
    heat = body.pop("heatmap")
    assert [len(row) for row in heat["values"]] == [4] * 4
    assert isinstance(heat["bias"], float)
    assert body.pop("timing").keys() == plain.pop("timing").keys()
    assert body["probabilities"] == pytest.approx(plain.pop("probabilities"), abs=1e-4)
    assert body.pop("confidence") == pytest.approx(plain.pop("confidence"), abs=1e-4)
    body.pop("probabilities")
    assert body == plain
    assert (context.pictures.used, context.memory.used) == (0, 0)


@pytest.mark.parametrize(
    ("files", "status", "says"),
    [
        ([("file", JPEG)] * 2, 413, "the form holds 2 pictures: send one to have it explained"),
        ([("file", b"text")], 400, "not a JPEG or PNG picture: send one of these two formats"),
    ],
)
def test_refusals(client: TestClient, files: list[tuple[str, bytes]], status: int, says: str) -> None:
    answer = client.post("/explain", files=files)
    assert (answer.status_code, answer.json()) == (status, {"error": says})
