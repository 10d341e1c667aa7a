"""The documentation builds as a site without a warning, asks no other host for anything, and no link of a page is dead.

A page must work on GitHub and in the site; links to other hosts are not followed.
"""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.documented import ROOT, pages, without_code

HOST = re.compile(r'<(?:script|img|link|iframe|source)\b[^>]*\b(?:src|href)="(?:https?:)?//[^"]*"')
LINK = re.compile(r"\]\(([^)\s#]*)(#[^)\s]*)?\)")
APACHE_2 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"  # of apache.org/licenses/LICENSE-2.0.txt


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "GITHUB_REPOSITORY": "team/cats-dogs", "GITHUB_SHA": "1234567"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_it_is_built_without_a_warning_and_asks_no_other_host(site: Path) -> None:
    built = sorted(site.rglob("*.html"))
    assert len(built) > 10
    asked = [(page.parent.name, found) for page in built for found in HOST.findall(page.read_text())]
    assert [each for each in asked if 'rel="canonical"' not in each[1]] == []


def test_links_out_of_the_site_lead_to_the_commit(site: Path) -> None:
    page = (site / "trainingrun/index.html").read_text()
    assert 'href="https://github.com/team/cats-dogs/blob/1234567/examples/04-gpu-spot.yaml"' in page
    assert 'href="../deploy/"' in page


def test_it_has_every_page(site: Path) -> None:
    for path in pages():
        if path.parts[0] == "docs" and path.name != "index.md":
            assert (site / path.relative_to("docs").with_suffix("") / "index.html").is_file(), path


@pytest.mark.parametrize("page", pages(), ids=str)
def test_each_link_leads_to_something_that_git_keeps(page: Path) -> None:
    listed = ["git", "ls-files", "-co", "--exclude-standard"]
    tracked = set(subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines())
    for target, anchor in LINK.findall(without_code((ROOT / page).read_text())):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        path = os.path.normpath(page.parent / target) if target else str(page)
        assert path in tracked or any(name.startswith(f"{path}/") for name in tracked), f"{page}: {target}"
        if anchor and path.endswith(".md"):
            assert anchor[1:] in anchors((ROOT / path).read_text()), f"{page}: {target}{anchor}"


def anchors(text: str) -> set[str]:
    """What GitHub calls the headings of a page."""
    titles = re.findall(
        r"^#+ (.*)$", re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE
    )
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_licence_is_whole() -> None:
    assert hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest() == APACHE_2


def test_each_test_that_a_page_names_is_there() -> None:
    there = {
        name for file in (ROOT / "tests").rglob("test_*.py") for name in re.findall(r"def (test_\w+)", file.read_text())
    }
    named = {(str(page), name) for page in pages() for name in re.findall(r"`(test_\w+)`", (ROOT / page).read_text())}
    assert len(named) > 20
    assert {(page, name) for page, name in named if name not in there} == set()
