"""What mkdocs needs to know of this repository: the pages outside docs/, and where a link out of docs/ leads.

A page is written for GitHub; here each link is resolved as GitHub does, and then points to the site's page of that file
or, where it has none, to the file in the repository. It must not change any other word of a page.
"""

import os
import posixpath
import re
import subprocess
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
OUTSIDE = {
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
    "deploy/README.md": "deploy.md",
    "examples/README.md": "examples.md",
    "bench/README.md": "bench.md",
}
"""Pages that lie outside docs/, and what the site calls them."""
LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s#]+)(#[^)\s]*)?\)")
CODE = re.compile(r"(^ *```.*?^ *```\s*?$|`[^`\n]+`)", re.MULTILINE | re.DOTALL)
REMOTE = ("http://", "https://", "mailto:")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie outside docs/."""
    for path, name in OUTSIDE.items():
        files.append(File.generated(config, name, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """The page with its links as the site needs them. Raises PluginError for one that leads nowhere."""
    name = page.file.src_uri
    source = next((path for path, there in OUTSIDE.items() if there == name), f"docs/{name}")
    repository = address()

    def site(found: re.Match[str]) -> str:
        words, target, anchor = found[1], found[2], found[3] or ""
        if target.startswith(REMOTE):
            return found[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        if not (ROOT / path).exists():
            raise PluginError(f"{source}: the link to {target} leads nowhere")
        if inside := _page(path):
            return f"[{words}]({posixpath.relpath(inside, posixpath.dirname(name) or '.')}{anchor})"
        return f"[{words}]({repository}/{path})" if repository else words

    parts = CODE.split(markdown)
    return "".join(part if number % 2 else LINK.sub(site, part) for number, part in enumerate(parts))


def _page(path: str) -> str:
    """The site's name of a file of the repository; "" where the site does not have it."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return OUTSIDE.get(path, "") or OUTSIDE.get(f"{path}/README.md", "")


def address() -> str:
    """Where a browser finds the files of this commit; "" where nobody says where the repository is.

    GitHub's workflows say it; a clone knows the place that it came from.
    """
    if repository := os.environ.get("GITHUB_REPOSITORY"):
        server = os.environ.get("GITHUB_SERVER_URL", "https://github.com")
        return f"{server}/{repository}/blob/{os.environ.get('GITHUB_SHA', 'main')}"
    asked = ["git", "remote", "get-url", "origin"]
    origin = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    return f"{origin.removesuffix('.git')}/blob/main" if origin.startswith("https://") else ""
