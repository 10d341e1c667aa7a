"""POST /explain: one picture, its answer and the map of what the network looked at, on demand.
It must not be part of /predict: a map costs more than an answer, and few want it."""

from __future__ import annotations

import functools

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from catsdogs.server import predict, upload, work
from catsdogs.server.context import Context
from catsdogs.server.state import Served


def handler(context: Context) -> work.Handler:
    """One picture only; counted, bounded and refused as by /predict."""

    async def explain(request: Request, served: Served) -> Response:
        from catsdogs.server import heatmap

        pictures = await upload.pictures(request, context.limits, context.memory)
        if len(pictures) > 1:
            raise upload.Refused(413, "form", f"the form holds {len(pictures)} pictures: send one to have it explained")
        (found,) = await work.ask(context, functools.partial(heatmap.explain, served.predictor), pictures)
        answer = predict.good(found)
        heat = {"values": answer.prediction.values, "bias": answer.prediction.bias}
        return JSONResponse({**answer.body(), "model": predict.model_body(served), "heatmap": heat})

    return work.endpoint(context, explain)
