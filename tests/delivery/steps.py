"""Runs the scripts of scripts/delivery as a workflow does: in a checkout of its own with git, with programs put in
front of the PATH, and with what they output read back. It starts no cluster."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
PARTS = (
    ".dockerignore",
    "Dockerfile.operator",
    "dvc.yaml",
    "params.yaml",
    "crds",
    "deploy",
    "operator",
    "requirements",
)
NO_CLUSTER = {"KUBECONFIG": "/nowhere", "GITHUB_SHA": "4" * 40}


@dataclass(frozen=True)
class Ended:
    """How a step ended: its exit status, all it printed, and its outputs."""

    code: int
    said: str
    outputs: Mapping[str, str]

    @property
    def errors(self) -> list[str]:
        """The lines that GitHub shows on top of the run."""
        return re.findall(r"^::error title=(.*)$", self.said, re.MULTILINE)

    @property
    def error(self) -> str:
        """The one such line; fails where there are none or more, or where the step succeeded."""
        assert self.code == 1, self.said
        assert len(self.errors) == 1, self.said
        return self.errors[0]


@dataclass(frozen=True)
class Steps:
    """Steps in one checkout. `programs` holds what is in front of the PATH."""

    checkout: Path
    programs: Path
    env: dict[str, str] = field(default_factory=dict)

    def __call__(self, step: str, *arguments: str, stdin: str = "", **env: str) -> Ended:
        """Run a step of scripts/delivery by its file name; `env` for this one alone."""
        file = self.checkout / "scripts" / "delivery" / step
        outputs = self.programs / "outputs"
        outputs.write_text("")
        everything = {
            "HOME": os.environ.get("HOME", "/tmp"),
            "PATH": f"{self.programs}{os.pathsep}{os.environ['PATH']}",
            "GITHUB_OUTPUT": str(outputs),
            "PYTHONDONTWRITEBYTECODE": "1",
            "NO_PROXY": "*",
            **NO_CLUSTER,
            **self.env,
            **env,
        }
        command = ["python3", str(file)] if file.suffix else [str(file)]
        done = subprocess.run(
            [*command, *arguments],
            cwd=self.checkout,
            env=everything,
            input=stdin,
            text=True,
            capture_output=True,
            check=False,
        )
        pairs = (line.partition("=") for line in outputs.read_text().splitlines())
        return Ended(done.returncode, done.stdout + done.stderr, {name: value for name, _, value in pairs})

    def ok(self, step: str, *arguments: str, **env: str) -> Ended:
        """Run a step that must succeed."""
        ended = self(step, *arguments, **env)
        assert ended.code == 0, ended.said
        return ended

    def program(self, name: str, script: str) -> None:
        """Put a program in front of the PATH: a shell script."""
        file = self.programs / name
        file.write_text(f"#!/usr/bin/env bash\n{script}\n")
        file.chmod(0o755)

    def commit(self, message: str) -> str:
        """Commit all that changed; returns the commit."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", f"--message={message}")
        return self.git("rev-parse", "HEAD").strip()

    def git(self, *words: str) -> str:
        """What git says in the checkout; this machine's settings for git do not count."""
        who = {f"GIT_{role}_{what}": "a@b.example" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        env = {"PATH": os.environ["PATH"], "HOME": "/nowhere", "GIT_CONFIG_NOSYSTEM": "1", **who}
        done = subprocess.run(["git", *words], cwd=self.checkout, env=env, text=True, capture_output=True, check=True)
        return done.stdout


def with_programs(steps: Steps, folder: Path) -> Steps:
    """The same checkout, with a folder of programs of its own."""
    programs = folder / "programs"
    programs.mkdir()
    return Steps(steps.checkout, programs, steps.env)


def steps_in(folder: Path) -> Steps:
    """A checkout in `folder` with one commit: what the delivery reads of this one, as it lies here."""
    checkout, programs = folder / "checkout", folder / "programs"
    checkout.mkdir()
    programs.mkdir()
    ignored = shutil.ignore_patterns("__pycache__", ".*_cache")
    for part in (*PARTS, "scripts/delivery", "workloads"):
        source, target = ROOT / part, checkout / part
        if source.is_dir():
            shutil.copytree(source, target, ignore=ignored)
        else:
            shutil.copy(source, target)
    made = Steps(checkout, programs)
    made.git("init", "--quiet", "--initial-branch=main")
    made.commit("all of it")
    return made
