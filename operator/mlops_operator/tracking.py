"""MLflow as the operator uses it: the alias that names the version which serves, and whether it is there at all.

Each request has a timeout; a server that is down or refuses is a sentence, never an exception.
"""

from typing import Any

import aiohttp

MODEL = "cats-dogs"
CHAMPION = "champion"
SET = f"MLflow's @{CHAMPION} is set"
"""What a ModelServer says where the alias is as it should be."""
TIMEOUT = 10.0
API = "/api/2.0/mlflow"


async def set_champion(server: str, sha256: str) -> str:
    """Point the alias CHAMPION at the registered version whose tag modelSha256 is this digest.

    Returns why it could not be done, "" when it is; a model that MLflow was never told of has no version.
    """
    try:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT)
        async with aiohttp.ClientSession(f"{server.rstrip('/')}/", timeout=timeout, raise_for_status=True) as session:
            version = await _version(session, sha256)
            if version is None:
                return f"MLflow knows no version of {MODEL} with the SHA-256 {sha256[:12]}"
            body = {"name": MODEL, "alias": CHAMPION, "version": version}
            async with session.post(f"{API}/registered-models/alias", json=body):
                return ""
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError, TypeError) as error:
        return f"MLflow at {server} does not take the alias: {type(error).__name__} {error}".splitlines()[0][:300]


async def answers(server: str) -> bool:
    """Whether MLflow's own health check says that it works; it asks for no password and no name of a host."""
    try:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"{server.rstrip('/')}/health") as said,
        ):
            return said.status == 200
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        return False


async def _version(session: aiohttp.ClientSession, sha256: str) -> str | None:
    """The newest version with that digest, or None."""
    wanted = {"filter": f"name = '{MODEL}' and tags.modelSha256 = '{sha256}'", "max_results": "100"}
    async with session.get(f"{API}/model-versions/search", params=wanted) as answer:
        found: list[dict[str, Any]] = (await answer.json()).get("model_versions", [])
    return str(max(int(version["version"]) for version in found)) if found else None
