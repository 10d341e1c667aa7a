"""Two hundred lives of a ModelServer by chance: users, runs and pods do anything in any order.

At every step what must never happen is looked for; at the end, left alone, the server comes to rest on a good model.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from mlops_operator.api.gate import Traffic
from mlops_operator.status.server_reasons import is_listed
from tests.unit.operator.model_server_world import run
from tests.unit.operator.test_model_server_admission import (
    GATED,
    LABELS,
    VERDICT,
    World,
    applied_deployment,
    kinds,
)

LIVES = 200
STEPS = 40
GOOD, WORSE, FAILING = "good", "worse", "failing"


class Life(World):
    """A world that moves by itself: candidates start, judges judge, pods roll, clients ask, each when it likes."""

    def __init__(self, seed: int) -> None:
        super().__init__(spec={**GATED, "watch": {"windowSeconds": 5, "minRequests": 10}})
        self.chance = random.Random(seed)
        self.quality: dict[str, str] = {}
        self.served: set[str] = set()

    def happen(self) -> None:
        """One thing that a person does, or nothing."""
        what = self.chance.choice(["train", "train", "replicas", "stop", "start", "retry", "back", "forward", "wait"])
        if what == "train":
            self.train()
        elif what == "replicas":
            self.change(replicas=self.chance.randint(1, 3))
        elif what in ("stop", "start"):
            self.change(stop=what == "stop")
        elif what == "retry" and self.quality:
            self.annotations["retry"] = self.chance.choice([*self.quality, ""])
        elif what == "back" and self.status.get("history"):
            self.change(rollbackTo=str(self.chance.choice(self.status["history"])["number"]))
        elif what == "forward":
            self.spec.pop("rollbackTo", None)
            self.generation += 1

    def change(self, **spec: Any) -> None:
        self.spec |= spec
        self.generation += 1

    def train(self) -> None:
        """Another run succeeds; its model is what chance makes it."""
        number = len(self.quality) + 1
        digest = f"{number:064x}"
        self.quality[digest] = self.chance.choice([GOOD, GOOD, WORSE, FAILING])
        created = f"2026-02-{1 + number // 24:02d}T{number % 24:02d}:00:00Z"
        made = run(f"run-{number}", "True", "Completed", sha256=digest, labels=LABELS, created=created)
        made["status"]["model"]["version"] = f"v{number}"
        self.observed = type(self.observed)(
            **{**vars(self.observed), "training_runs": (*self.observed.training_runs, made)}
        )

    def move(self, hurry: bool = False) -> None:
        """A pass, and then what the cluster makes of it, some of it now and some later."""
        plan = self.step(self.chance.choice([0.5, 3, 20]))
        names = {child.name for child in plan.delete}
        seen: dict[str, Any] = {}
        if "pets-candidate" in names:
            seen |= {"candidate": None, "candidate_pods": ()}
        if "pets-judge" in names:
            seen |= {"judge": None, "judge_pods": ()}
        if "Deployment/pets-candidate" in kinds(plan) and (hurry or self.chance.random() < 0.7):
            seen |= self.started()
        if "Job/pets-judge" in kinds(plan):
            env = next(c for c in plan.apply if c["kind"] == "Job")["spec"]["template"]["spec"]["containers"][0]["env"]
            told = {item["name"]: item["value"] for item in env}
            seen |= self.judged(self.verdict(told["GATE_CANDIDATE_SHA256"], told["GATE_SERVING_SHA256"]))
        if "Deployment/pets" in kinds(plan) and (hurry or self.chance.random() < 0.7):
            seen |= self.rolled()
            digest = told_to_serve(self.plan)
            failing = self.quality[digest] == FAILING
            asked = self.chance.choice([0, 200])
            seen["traffic"] = {"uid-pets-1": Traffic(asked, asked // 2 if failing else 0, ((0.05, asked),))}
        self.look()
        self.observed = type(self.observed)(**{**vars(self.observed), **seen})

    def verdict(self, candidate: str, serving: str) -> dict[str, Any]:
        reason = "WorseThanServing" if self.quality[candidate] == WORSE else "Accepted"
        if self.chance.random() < 0.1:
            return {"ok": False, "message": "the bucket does not answer"}
        return {**VERDICT, "candidate": candidate, "serving": serving, "verdict": reason, "message": reason}

    def look(self) -> None:
        """What must hold after every pass."""
        conditions = {c["type"]: c for c in self.status["conditions"]}
        for type_, told in conditions.items():
            assert is_listed(type_, told["status"], told["reason"]), told
        if conditions["Ready"]["status"] == "True":
            assert self.observed.pods, "ready without a pod"
            self.served.add(self.status["model"]["sha256"])
        if "Deployment/pets" in kinds(self.plan):
            digest = told_to_serve(self.plan)
            let_in = {e["sha256"] for e in self.status.get("history", []) if e["outcome"] != "Refused"}
            let_in.add((self.status.get("rollout") or {}).get("sha256", ""))
            let_in.add(((self.status.get("rollout") or {}).get("previous") or {}).get("sha256", ""))
            assert self.quality[digest] != WORSE, "a worse model got in"
            assert digest in let_in or len(self.status["history"]) == self.server.history_limit, "nobody let it in"
        numbers = [entry["number"] for entry in self.status.get("history", [])]
        assert numbers == sorted(numbers, reverse=True)
        assert len(set(numbers)) == len(numbers)
        assert conditions["Settled"]["observedGeneration"] == self.generation


def told_to_serve(plan: Any) -> str:
    env = applied_deployment(plan, "pets")["spec"]["template"]["spec"]["containers"][0]["env"]
    return {item["name"]: item["value"] for item in env}["MODEL_SHA256"]


@pytest.mark.parametrize("part", range(4))
def test_lives(part: int) -> None:
    for seed in range(part, LIVES, 4):
        life = Life(seed)
        for _ in range(STEPS):
            life.happen()
            life.move()
        rest(life)


def rest(life: Life) -> None:
    """Nobody does anything more; another good run comes last: it serves in the end, and nothing changes any more."""
    life.spec.pop("rollbackTo", None)
    life.annotations.clear()
    life.change(stop=False, replicas=1)
    life.train()
    newest = f"{len(life.quality):064x}"
    life.quality[newest] = GOOD
    for _ in range(60):
        life.move(hurry=True)
    assert life.status["model"]["sha256"] == newest
    assert life.status["decidedFor"] == f"run-{len(life.quality)}"
    before = life.status
    life.move(hurry=True)
    assert life.status == before
    assert {"candidate", "rollout"} & life.status.keys() == set()
    assert life.observed.candidate is None
    assert life.observed.judge is None
