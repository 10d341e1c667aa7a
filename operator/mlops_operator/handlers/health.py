"""The liveness probe: 200 as long as the operator sees the cluster, else 503 with the reason.

It asks nobody; it tells what the background work has found.
"""

from aiohttp import web

from mlops_operator.handlers.background import LIST_MAX_AGE, healthy, list_age
from mlops_operator.handlers.context import Context


async def serve(context: Context, port: int) -> web.AppRunner:
    """Answer GET /healthz on all addresses; the caller cleans the runner up."""

    async def healthz(_: web.Request) -> web.Response:
        body = {"listAgeSeconds": round(list_age(context)), "limitSeconds": LIST_MAX_AGE}
        return web.json_response(body, status=200 if healthy(context) else 503)

    application = web.Application()
    application.add_routes([web.get("/healthz", healthz)])
    runner = web.AppRunner(application, access_log=None, handle_signals=False)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner
