"""The pages of this repository and the commands in them, as a reader would copy them.

It only reads; who runs which command is in documented_rules.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
NO_MANUALS = ("CHANGELOG.md", "bench/", "requirements/")
"""Pages whose commands are no instruction to a user: what was, and how something was measured."""
PROGRAMS = (
    "bash", "buildah", "catsdogs", "cosign", "curl", "docker", "dvc", "export", "gcloud", "gh", "git", "go", "helm",
    "kind", "kubectl", "kustomize", "make", "mkdocs", "openssl", "promtool", "psql", "pytest", "python", "python3",
    "sha256sum", "source", "sqlite3", "ss", "sudo", "terraform",
)  # fmt: skip
_WORD = rf"(?:{'|'.join(PROGRAMS)}|\.venv/bin/\S+|scripts/\S+|\.(?= ))"
COMMAND = re.compile(rf"(?:[A-Z0-9_]+=\S* )*{_WORD}(?: (?! )\S.*)?")
FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
SHELLS = ("sh", "bash", "shell")


@dataclass(frozen=True)
class Command:
    """One command of one page, without its comment and with its continued lines joined."""

    page: str
    text: str


def pages() -> list[Path]:
    """Every page that git keeps, or would."""
    listed = ["git", "ls-files", "-co", "--exclude-standard", "*.md"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    return sorted(Path(name) for name in set(names) if (ROOT / name).is_file())


def without_code(text: str) -> str:
    """A page's prose: no fenced block, no inline code."""
    return re.sub(r"`[^`\n]+`", "", FENCE.sub("", text))


def commands() -> list[Command]:
    """Every command that a manual shows, in a block of its own or in a line of text."""
    manuals = [page for page in map(str, pages()) if not page.startswith(NO_MANUALS)]
    return [Command(page, text) for page in manuals for text in of_page((ROOT / page).read_text(encoding="utf-8"))]


def of_page(text: str) -> list[str]:
    """The commands of one page. Inline code counts from two words on (kubectl from three: less is a name for it)."""
    found = [line for _, language, block in FENCE.findall(text) for line in of_block(language, block)]
    paragraphs = FENCE.sub("\n\n", text).split("\n\n")
    for words in (" ".join(code.split()) for part in paragraphs for code in re.findall(r"`([^`]+)`", part)):
        least = 3 if words.startswith("kubectl ") else 2
        if COMMAND.fullmatch(words) and len(words.split()) >= least:
            found.append(plain(words))
    return found


def of_block(language: str, block: str) -> list[str]:
    """The commands of a fenced block: after "$ " in a session, each line of a script, what begins with a program
    where no language is named (there it may also be output, or a drawing)."""
    lines = re.sub(r" *\\\n\s*", " ", block).splitlines()
    if language == "console" or any(line.startswith("$ ") for line in lines):
        return [plain(line[2:]) for line in lines if line.startswith("$ ")]
    if language in SHELLS:
        return [plain(line) for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return [plain(line) for line in lines if COMMAND.fullmatch(line.strip())] if language == "" else []


def plain(line: str) -> str:
    """The command without its comment."""
    return re.sub(r"\s+#.*$", "", line.strip())
