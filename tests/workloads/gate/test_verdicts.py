"""Each planted model gets its named verdict: real model files, through the real object store."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest

from catsdogs.errors import StageError
from catsdogs.gate import judge
from catsdogs.gate.settings import Address, ModelFile
from tests.workloads.gate import planted
from tests.workloads.gate.conftest import COPIED, DATA, LEAKED, World
from tests.workloads.gate.planted import Plant


def test_a_better_model_is_accepted(world: World, serving: ModelFile) -> None:
    candidate = world.publish("be7e00000001", planted.BETTER)

    said = judge.judge(world.case(candidate, serving))

    report = f"gs://gate/reports/cats-dogs/api/{candidate.sha256[:12]}/report.html"
    digest = said.pop("evalSet")
    assert said == {
        "ok": True,
        "verdict": "Accepted",
        "message": "accuracy 0.960 on 400 pictures, +0.040 against the serving model "
        "(95 % interval +0.019 to +0.060): better",
        "candidate": candidate.sha256,
        "serving": serving.sha256,
        "metric": "accuracy",
        "count": 400,
        "candidateValue": 0.96,
        "candidateLow": 0.936,
        "candidateHigh": 0.9752,
        "servingValue": 0.92,
        "servingLow": 0.8892,
        "servingHigh": 0.9428,
        "difference": 0.04,
        "differenceLow": 0.0195,
        "differenceHigh": 0.0601,
        "disagreement": 0.04,
        "report": report,
    }
    assert world.names(f"evalsets/{digest}/") == ["manifest.json", "pictures.tar"]
    assert b"Accepted" in world.read(report.removeprefix("gs://gate/"))


@pytest.mark.parametrize(
    ("version", "plant", "verdict", "message"),
    [
        (
            "0a0d00000001",
            Plant(coin=True),
            "SanityFailed",
            "the candidate is no better than labels dealt out at random: ",
        ),
        (
            "1f1f00000001",
            Plant(invert=True),
            "SanityFailed",
            "the candidate is no better than labels dealt out at random: 0.0% of 400 pictures right",
        ),
        (
            "d09d00000001",
            Plant(always_dog=True),
            "SanityFailed",
            "the candidate calls all 400 pictures dog: look at its training",
        ),
        (
            "3e3e00000001",
            planted.WORSE,
            "WorseThanServing",
            "accuracy 0.900 on 400 pictures, -0.020 against the serving model (95 % interval -0.035 to -0.005): "
            "worse, and by more than 0.01: train a better model",
        ),
        (
            "e9e900000001",
            planted.EQUAL,
            "Accepted",
            "accuracy 0.920 on 400 pictures, +0.000 against the serving model (95 % interval -0.021 to +0.021): "
            "inconclusive, accepted since the policy accepts -0.01 and better",
        ),
    ],
    ids=["random", "inverted", "one class only", "two points worse", "equal"],
)
def test_a_planted_model_gets_its_verdict(
    world: World, serving: ModelFile, version: str, plant: Plant, verdict: str, message: str
) -> None:
    said = judge.judge(world.case(world.publish(version, plant), serving))

    assert (said["verdict"], said["message"][: len(message)]) == (verdict, message)


@pytest.mark.parametrize(
    ("version", "data_version", "example"),
    [
        ("1eac00000001", LEAKED, "Cat/000.png is Cat/again.png of its train split"),
        ("1eac00000002", COPIED, "Cat/000.png looks like Cat/copy.jpg of its val split (correlation 0."),
    ],
    ids=["the same bytes", "mirrored, resized and encoded anew"],
)
def test_a_model_that_has_seen_the_set_is_refused(
    world: World, serving: ModelFile, version: str, data_version: str, example: str
) -> None:
    leaked = world.publish(version, planted.BETTER, data_version)

    said = judge.judge(world.case(leaked, serving))
    assert said["verdict"] == "SanityFailed"
    assert said["message"].startswith(f"the candidate has seen 1 of 400 pictures of the evaluation set: {example}")

    said = judge.judge(world.case(serving, leaked))
    assert said["verdict"] == "SanityFailed"
    assert said["message"].startswith(f"the serving model has seen 1 of 400 pictures of the evaluation set: {example}")


def test_the_first_model_needs_the_minimum_alone(world: World, serving: ModelFile) -> None:
    said = judge.judge(world.case(serving, minimum=0.92))
    assert (said["verdict"], said["serving"]) == ("Accepted", "")
    assert said["message"] == "accuracy 0.920 on 400 pictures reaches the minimum of 0.92; compared with no other model"
    assert not said.keys() & {"servingValue", "difference", "disagreement"}

    said = judge.judge(world.case(serving, minimum=0.921))
    assert said["verdict"] == "BelowMinimum"
    assert said["message"] == (
        "accuracy 0.920 on 400 pictures (0.889 to 0.943) is below the minimum of 0.921: "
        "train a better model, or lower gate.minimum"
    )


def test_the_policy_minimum_compares_with_nothing(world: World, serving: ModelFile) -> None:
    gone = replace(serving, address=Address("gate", "models/cats-dogs/gone/model.pt"))
    candidate = world.publish("3e3e00000001", planted.WORSE)

    said = judge.judge(world.case(candidate, gone, policy="Minimum"))

    assert (said["verdict"], said["serving"]) == ("Accepted", gone.sha256)
    assert "difference" not in said


def test_inconclusive_is_what_the_policy_says(world: World, serving: ModelFile) -> None:
    candidate = world.publish("177700000001", planted.A_LITTLE_WORSE)

    accepted = judge.judge(world.case(candidate, serving, max_regression=0.01))
    short = judge.judge(world.case(candidate, serving, max_regression=0.005))
    strict = judge.judge(world.case(candidate, serving, max_regression=0.01, inconclusive="Refuse"))

    assert (accepted["verdict"], accepted["difference"]) == ("Accepted", -0.01)
    assert short["verdict"] == strict["verdict"] == "Inconclusive"
    measured = "accuracy 0.910 on 400 pictures, -0.010 against the serving model (95 % interval -0.033 to +0.013)"
    assert short["message"] == (
        f"{measured}: inconclusive. 33% of equally good models end so on this set; "
        "a maxRegression of 0.02 or a set of 6,400 pictures would make that 5%; or override the gate"
    )
    assert strict["message"] == (
        f"{measured}: inconclusive. 86% of equally good models end so on this set; "
        "a maxRegression of 0.043 or a set of 7,400 pictures would make that 5%; or override the gate"
    )


@pytest.mark.parametrize("metric", ["balancedAccuracy", "rocAuc"])
def test_other_metrics_are_compared_too(world: World, serving: ModelFile, metric: str) -> None:
    better = judge.judge(world.case(world.publish("be7e00000001", planted.BETTER), serving, metric=metric))
    worse = judge.judge(world.case(world.publish("3e3e00000001", planted.WORSE), serving, metric=metric))

    assert (better["verdict"], better["metric"]) == ("Accepted", metric)
    assert better["differenceLow"] > 0
    assert (worse["verdict"], worse["differenceHigh"] < 0) == ("WorseThanServing", True)


def test_a_corrupt_candidate_is_refused_and_named(world: World, serving: ModelFile) -> None:
    wrong = replace(serving, sha256="0" * 64)

    said = judge.judge(world.case(wrong, serving))

    assert (said["verdict"], said["message"]) == (
        "SanityFailed",
        f"the candidate can't be served: {serving.address}: SHA-256 is {serving.sha256}, not {'0' * 64}",
    )


def test_a_candidate_of_unknown_training_is_refused_and_such_a_serving_model_is_a_warning(
    world: World, serving: ModelFile
) -> None:
    """A model.json of another file tells nothing about this one."""
    digest = judge.judge(world.case(serving))["evalSet"]
    unknown = world.publish("077700000001", planted.BETTER)
    world.put("models/cats-dogs/077700000001/model.json", json.dumps({"sha256": "0" * 64}).encode())

    said = judge.judge(world.case(unknown, serving, eval_set=digest))
    assert said["verdict"] == "SanityFailed"
    assert said["message"].startswith("what the candidate was trained on is not known, so a leak can't be ruled out: ")

    said = judge.judge(world.case(world.publish("be7e00000001", planted.BETTER), unknown, eval_set=digest))
    assert said["verdict"] == "Accepted"
    assert said["warning"].startswith("what the serving model was trained on is not known")


@pytest.mark.parametrize("who", ["candidate", "serving"])
def test_a_model_that_is_not_there_is_no_verdict(world: World, serving: ModelFile, who: str) -> None:
    gone = replace(serving, address=Address("gate", "models/cats-dogs/gone/model.pt"))
    case = world.case(gone, serving) if who == "candidate" else world.case(serving, gone)

    with pytest.raises(StageError) as caught:
        judge.judge(case)

    assert (caught.value.code, caught.value.message) == (66, f"{gone.address} is not there")


def test_a_serving_model_with_other_bytes_is_no_verdict(world: World, serving: ModelFile) -> None:
    with pytest.raises(StageError) as caught:
        judge.judge(world.case(serving, replace(serving, sha256="0" * 64)))

    assert caught.value.code == 65
    assert caught.value.message.startswith(f"the serving model can't be compared with: {serving.address}: SHA-256 is ")


def test_the_digest_is_that_of_the_pictures_and_not_of_the_version(world: World, serving: ModelFile) -> None:
    """LEAKED has the same test split as DATA: one set, whoever froze it."""
    digests = {
        judge.judge(world.case(model))["evalSet"]
        for model in (serving, world.publish("1eac00000001", planted.BETTER, LEAKED))
    }

    (digest,) = digests
    assert hashlib.sha256(world.read(f"evalsets/{digest}/manifest.json")).hexdigest() == digest
    assert DATA.encode() not in world.read(f"evalsets/{digest}/manifest.json")


def mismatch(world: World, candidate: ModelFile, digest: str) -> str:
    said: dict[str, Any] = judge.judge(world.case(candidate, eval_set=digest))
    assert (said["verdict"], said["evalSet"]) == ("EvalSetMismatch", digest)
    assert "report" not in said
    return str(said["message"])


def test_an_evaluation_set_that_is_not_there(world: World, serving: ModelFile) -> None:
    assert mismatch(world, serving, "1" * 64) == (
        f"gs://gate/evalsets/{'1' * 64}/ is not there: catsdogs evalset --list shows the sets of the bucket"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"classes": ["cat", "fox"], "photos": [{"name": "a", "label": "cat", "sha256": "0"}]},
            "has the classes cat, fox, the models cat, dog",
        ),
        (
            {"classes": ["cat", "dog"], "photos": [{"name": "a", "label": "cat", "sha256": "0"}]},
            "has no dog among its 1 pictures",
        ),
        ({"classes": ["cat", "dog"], "photos": [{"name": "a"}]}, "manifest.json is no list of pictures: "),
        ({"photos": []}, "manifest.json is no list of pictures: KeyError('classes')"),
    ],
    ids=["other classes", "a class is missing", "no label", "no classes"],
)
def test_an_evaluation_set_that_does_not_fit(
    world: World, serving: ModelFile, content: dict[str, Any], message: str
) -> None:
    manifest = json.dumps(content).encode()
    digest = hashlib.sha256(manifest).hexdigest()
    world.put(f"evalsets/{digest}/manifest.json", manifest)

    assert message in mismatch(world, serving, digest)


def test_a_manifest_that_was_changed(world: World, serving: ModelFile) -> None:
    world.put(f"evalsets/{'2' * 64}/manifest.json", b"{}")

    assert "/manifest.json has the SHA-256 44136fa355b3, not 222222222222" in mismatch(world, serving, "2" * 64)
