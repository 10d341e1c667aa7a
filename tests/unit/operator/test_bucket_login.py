"""Who the bucket is read as where there is no emulator."""

from typing import Any

import google.auth
import pytest

from mlops_operator.bucket import Bucket


class Account:
    """Credentials that are valid once refreshed."""

    valid = False
    token = ""
    refreshed = 0

    def refresh(self, _: Any) -> None:
        self.refreshed += 1
        self.valid, self.token = True, f"t{self.refreshed}"


async def test_the_account_of_the_environment_is_refreshed_only_when_it_is_no_longer_valid(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    account = Account()
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    monkeypatch.setattr(google.auth, "default", lambda scopes: (account, "project"))
    bucket = Bucket()
    asked = [await bucket._headers(), await bucket._headers()]
    account.valid = False
    asked.append(await bucket._headers())
    assert [headers["Authorization"] for headers in asked] == ["Bearer t1", "Bearer t1", "Bearer t2"]
