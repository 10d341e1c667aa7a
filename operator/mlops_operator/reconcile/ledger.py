"""What of a ModelServer's history is still to be written down outside: in the bucket, and as MLflow's alias.

Pure. The status is the truth; bucket and alias are mirrors, and the condition Recorded says whether they agree.
"""

from collections.abc import Mapping
from typing import Any

from mlops_operator.api.model_server import ModelServer, Recorded
from mlops_operator.reconcile.decision import Said
from mlops_operator.reconcile.plan import Record

RETRY_SECONDS = 30.0


def missing(server: ModelServer, history: tuple[Mapping[str, Any], ...], recorded: Recorded) -> tuple[Record, ...]:
    """The entries that nobody has written yet, oldest first; with the last one the model that is champion now."""
    through = max(recorded.through, int((server.status.get("ledger") or {}).get("through", 0)))
    entries = sorted((entry for entry in history if entry["number"] > through), key=lambda entry: int(entry["number"]))
    return tuple(Record(address(server, entry), entry, champion(history)) for entry in entries)


def address(server: ModelServer, entry: Mapping[str, Any]) -> str:
    """Where an entry lies: in the bucket of the model that it is about."""
    bucket = str(entry["uri"]).removeprefix("gs://").partition("/")[0]
    return f"gs://{bucket}/ledger/{server.namespace}/{server.name}/{entry['number']}.json"


def champion(history: tuple[Mapping[str, Any], ...]) -> str:
    """The digest that serves after these decisions, newest first; "" before the first."""
    for entry in history:
        if entry["outcome"] == "Served":
            return str(entry["sha256"])
        if entry["outcome"] == "RolledBack":
            return str(entry.get("from", ""))
    return ""


def told(server: ModelServer, history: tuple[Mapping[str, Any], ...], recorded: Recorded) -> Said | None:
    """The condition Recorded; None before there is anything to record, and before anybody has tried."""
    if not history or (not recorded.through and not recorded.problem):
        return None
    newest = max(int(entry["number"]) for entry in history)
    if recorded.problem:
        return "False", "NotWritten", f"tried again: {recorded.problem}"
    if recorded.through < newest:
        return None
    alias = f"; {recorded.alias}" if recorded.alias else ""
    return "True", "Written", f"{newest} decisions are in ledger/{server.namespace}/{server.name}/{alias}"
