"""POST /predict: one picture, or several in a form, and what the model says of each.
It must not know how a picture is decoded, nor how a form is taken apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from catsdogs.server import upload, work
from catsdogs.server.context import Context
from catsdogs.server.state import Served
from catsdogs.server.work import Found

if TYPE_CHECKING:
    from catsdogs.images import BadImage
    from catsdogs.server.predictor import Prediction

    Answer = work.Answer[Prediction] | BadImage


def handler(context: Context) -> work.Handler:
    """One picture is answered by itself; several by `predictions`, in the order in which they were sent."""

    async def predict(request: Request, served: Served) -> Response:
        pictures = await upload.pictures(request, context.limits, context.memory)
        work.count(context, request, len(pictures))
        answers = await work.ask(context, served.predictor.predict, pictures)
        if len(answers) == 1:
            return _one(answers[0], served)
        return _several(context, answers, served)

    return work.endpoint(context, predict)


def model_body(served: Served) -> dict[str, str]:
    """Which model answered."""
    return {"version": served.version, "sha256": served.sha256}


def good(answer: work.Answer[Found] | BadImage) -> work.Answer[Found]:
    """Raises Refused for a picture that can't be read."""
    if isinstance(answer, work.Answer):
        return answer
    raise upload.Refused(400, "picture", str(answer))


def _one(answer: Answer, served: Served) -> Response:
    found = good(answer)
    prediction = found.prediction
    steps = {"queue": found.queue_seconds, "decode": prediction.decode_seconds, "forward": prediction.forward_seconds}
    headers = {"Server-Timing": ", ".join(f"{name};dur={1000 * took:.2f}" for name, took in steps.items())}
    return JSONResponse({**found.body(), "model": model_body(served)}, headers=headers)


def _several(context: Context, answers: list[Answer], served: Served) -> Response:
    """A bad picture does not cost the others their answer; nothing but bad ones is a bad request."""
    bad = sum(not isinstance(answer, work.Answer) for answer in answers)
    if bad == len(answers):
        raise upload.Refused(400, "picture", f"none of the {bad} pictures can be read; the first: {answers[0]}")
    context.metrics.refused.labels("picture").inc(bad)
    return JSONResponse({"predictions": [_item(answer) for answer in answers], "model": model_body(served)})


def _item(answer: Answer) -> dict[str, Any]:
    return answer.body() if isinstance(answer, work.Answer) else {"error": str(answer)}
