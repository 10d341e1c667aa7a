"""What a pass over a ModelServer decides, and what a decision rests on.

Only the two forms; `admission` and `rollout` fill them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mlops_operator.api.model_server import Model, ModelServer, Observed
from mlops_operator.reconcile.model_source import Candidate
from mlops_operator.status.conditions import Status

FIELDS = ("candidate", "gate", "rollout", "quarantine", "history")
LOOK_AGAIN = 2.0

Said = tuple[Status, str, str]
"""A condition's status, reason and message."""


@dataclass(frozen=True)
class Decision:
    """What one pass decided. `wanted` is what the Deployment serves, `candidate` what runs beside it.

    `judge_url`: a judge is wanted, who reaches the candidate there ("": without smoke). A condition that is
    None stays as it is; `settled` None: as the roll of the pods says. `facts` are the status fields FIELDS.
    """

    wanted: Model | None
    facts: Mapping[str, Any]
    candidate: Model | None = None
    judge_url: str | None = None
    drop_judge: bool = False
    accepted: Said | None = None
    rolled_back: Said | None = None
    settled: Said | None = None
    requeue_after: float | None = None


@dataclass(frozen=True)
class Question:
    """What a decision rests on: the resource, its world, the model that is asked for and the one that serves.

    Not `runnable`: there is no image for new pods.
    """

    server: ModelServer
    observed: Observed
    target: Candidate
    serving: Model | None
    now: datetime
    runnable: bool = True
    facts: dict[str, Any] = field(default_factory=dict)

    def without(self, *names: str) -> dict[str, Any]:
        """The facts but for these."""
        return {name: value for name, value in self.facts.items() if name not in names}


def name_of(model: Model) -> str:
    """How a person calls the model."""
    return model.version or model.sha256[:12]
