"""The way of every picture through the server: admitted, decoded and asked in the pool, counted.
It must not block the event loop, and must not have a body read that can't be answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from catsdogs.server import upload
from catsdogs.server.admission import Full
from catsdogs.server.context import Context
from catsdogs.server.state import Served

if TYPE_CHECKING:
    from catsdogs.images import BadImage
    from catsdogs.server.predictor import Prediction

Handler = Callable[[Request], Awaitable[Response]]
Input = TypeVar("Input")
Output = TypeVar("Output")
Found = TypeVar("Found", bound="Prediction")


@dataclass(frozen=True)
class Answer(Generic[Found]):
    """A prediction and the seconds that it waited for a free core."""

    prediction: Found
    queue_seconds: float

    def body(self) -> dict[str, Any]:
        """Label, confidence, probabilities, and milliseconds of each step."""
        prediction = self.prediction
        return {
            "label": prediction.label,
            "confidence": prediction.confidence,
            "probabilities": prediction.probabilities,
            "timing": {
                "queue_ms": round(self.queue_seconds * 1000, 2),
                "decode_ms": round(prediction.decode_seconds * 1000, 2),
                "forward_ms": round(prediction.forward_seconds * 1000, 2),
            },
        }


def endpoint(context: Context, answer: Callable[[Request, Served], Awaitable[Response]]) -> Handler:
    """A handler that refuses at once what can't be answered now, and turns what is refused into an answer."""

    async def handle(request: Request) -> Response:
        try:
            served = _served(context)
            _within_rate(context, request)
            return await answer(request, served)
        except upload.Refused as refused:
            context.metrics.refused.labels(refused.reason).inc()
            return error_response(refused.status, str(refused), refused.headers)
        except ClientDisconnect:
            context.metrics.refused.labels("disconnect").inc()
            return Response(status_code=400)  # nobody reads it

    return handle


def _served(context: Context) -> Served:
    """The model that will answer, found before any byte of the body is read."""
    served = context.state.served
    if served is None:
        raise no_model(context)
    if context.pictures.full:
        raise upload.busy("busy", "the server is busy; try again")
    return served


def _within_rate(context: Context, request: Request) -> None:
    """Counts the request as one picture; those beyond the first are counted when the form is taken apart."""
    if context.rates is None:
        return
    if wait := context.rates.wait(request.scope):
        raise upload.Refused(429, "rate", f"too many pictures: try again in {wait} s", {"Retry-After": str(wait)})
    context.rates.spend(request.scope, 1)


def count(context: Context, request: Request, pictures: int) -> None:
    """Counts the pictures of a request beyond the first against the client's rate."""
    if context.rates is not None and pictures > 1:
        context.rates.spend(request.scope, pictures - 1)


def no_model(context: Context) -> upload.Refused:
    """The refusal of everything that needs a model while there is none."""
    return upload.Refused(503, "no-model", f"no model yet: {context.state.reason}", {"Retry-After": "2"})


async def in_pool(context: Context, work: Callable[[], Output]) -> Output:
    """The result of `work`, done in the pool in the place of a picture. Raises Refused when there is no room."""
    try:
        with context.pictures.holding(1):
            return await asyncio.get_running_loop().run_in_executor(context.pool, work)
    except Full:
        raise upload.busy("busy", "the server is busy; try again") from None


async def ask(
    context: Context, predict: Callable[[Input], Found], inputs: Sequence[Input]
) -> list[Answer[Found] | BadImage]:
    """The answer, or what is wrong with it, for each input in order; they are worked on side by side.

    Raises Refused when there is no room for all of them.
    """
    metrics = context.metrics
    try:
        with context.pictures.holding(len(inputs)):
            metrics.pending.set(context.pictures.used)
            if len(inputs) == 1:  # without the tasks of gather, which cost as much as all of this
                return [await _one(context, predict, inputs[0])]
            asked = [_one(context, predict, item) for item in inputs]
            # Nothing is left behind in the pool: an error is raised when all are through.
            results = await asyncio.gather(*asked, return_exceptions=True)
    except Full:
        raise upload.busy("busy", "the server is busy; try again") from None
    finally:
        metrics.pending.set(context.pictures.used)
    return [_returned(result) for result in results]


async def _one(context: Context, predict: Callable[[Input], Found], item: Input) -> Answer[Found] | BadImage:
    from catsdogs.images import BadImage

    begin = time.perf_counter()
    try:
        prediction = await asyncio.get_running_loop().run_in_executor(context.pool, predict, item)
    except BadImage as bad:
        return bad
    metrics = context.metrics
    metrics.decode.observe(prediction.decode_seconds)
    metrics.forward.observe(prediction.forward_seconds)
    metrics.predictions.labels(prediction.label).inc()
    metrics.confidence.observe(prediction.confidence)
    worked = prediction.decode_seconds + prediction.forward_seconds
    waited = max(0.0, time.perf_counter() - begin - worked)
    if context.tracing is not None:
        steps = {"queue": waited, "decode": prediction.decode_seconds, "forward": prediction.forward_seconds}
        context.tracing.steps(steps)
    return Answer(prediction, waited)


def _returned(result: Answer[Found] | BadImage | BaseException) -> Answer[Found] | BadImage:
    """Raises what was raised; a bad picture was not."""
    from catsdogs.images import BadImage

    if isinstance(result, Answer | BadImage):
        return result
    raise result


def error_response(status: int, message: str, headers: Any = None) -> Response:
    """Every error of the API has this form: {"error": "one line"}."""
    return JSONResponse({"error": message}, status, headers)
