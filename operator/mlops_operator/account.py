"""The Google account of the environment: in a cluster that of the pod's service account, by the metadata server.

It only gives the headers that say who asks; what is asked is not known here.
"""

import asyncio
from typing import Any

import google.auth
import google.auth.transport.requests


class Account:
    """Credentials of one OAuth scope, looked up when first needed and renewed when they are no longer valid.

    Raises google.auth.exceptions.GoogleAuthError where there is no account, or it can't be reached.
    """

    def __init__(self, scope: str) -> None:
        self._scope = scope
        self._credentials: Any = None
        self._login = asyncio.Lock()

    async def headers(self) -> dict[str, str]:
        """The header with a token that is valid now."""
        async with self._login:
            if self._credentials is None:
                self._credentials = (await asyncio.to_thread(google.auth.default, scopes=[self._scope]))[0]
            credentials = self._credentials
            if not credentials.valid:
                await asyncio.to_thread(credentials.refresh, google.auth.transport.requests.Request())
            return {"Authorization": f"Bearer {credentials.token}"}
