"""The page in a real Chromium: pictures by every way in, answers, heat map, keyboard, screen reader, light and dark.

A browser is installed where there is none (browser.py); where that can't be done, these tests fail and say so.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.workloads.server.browser import Browser, Page, browser
from tests.workloads.server.samples import ModelFile, picture
from tests.workloads.server.test_process import Running, serving, start, stop

KEY = "a-key-of-this-test"
ANSWERED = "document.getElementById('cat-share').textContent !== '\u2013'"
READY = "document.getElementById('state').textContent === 'Model v1 is ready.'"
# A file made in the page, from the bytes of one that the test made.
FILES = (
    "const bytes = (data) => Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));"
    "const files = %s.map(([data, type], number) => new File([bytes(data)], `${number}`, {type}));"
)
TRANSFER = "const transfer = new DataTransfer(); files.forEach((file) => transfer.items.add(file));"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def server(model_file: ModelFile) -> Iterator[Running]:
    with serving(model_file, TRAINING_RUN="cats-dogs/demo") as running:
        yield running


@pytest.fixture
def page(chromium: Browser, server: Running) -> Iterator[Page]:
    """The page, ready; afterwards it must have asked no other host and complained of nothing."""
    opened = Page(chromium, f"http://127.0.0.1:{server.port}/")
    opened.wait(READY)
    yield opened
    ours = (f"http://127.0.0.1:{server.port}/", "blob:", "data:")
    assert [request for request in opened.requests if not request.startswith(ours)] == []
    assert opened.complaints == []


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    files = [tmp_path / "a.jpg", tmp_path / "b.png"]
    files[0].write_bytes(picture(size=(640, 480)))
    files[1].write_bytes(picture("PNG", size=(60, 200)))
    return files


def answer(server: Running, file: Path) -> dict[str, Any]:
    """What /predict says of a file."""
    import urllib.request

    request = urllib.request.Request(
        f"http://127.0.0.1:{server.port}/predict", file.read_bytes(), {"Content-Type": "image/jpeg"}
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        return dict(json.load(response))


def files_of(*pictures: tuple[bytes, str]) -> str:
    import base64

    return FILES % json.dumps([[base64.b64encode(data).decode(), kind] for data, kind in pictures]) + TRANSFER


def test_a_chosen_picture_gets_its_answer(page: Page, server: Running, photos: list[Path]) -> None:
    assert page.text("#verdict") == "No picture yet"
    page.choose(photos[0])
    page.wait(ANSWERED)
    expected = answer(server, photos[0])
    for name, value in expected["probabilities"].items():
        assert page.text(f"#{name}-share") == f"{100 * value:.1f} %"
        assert page.run(f"document.getElementById('{name}').value") == pytest.approx(value, abs=1e-4)
    assert page.text("#verdict").lower().endswith(f"a {expected['label']}")
    assert page.text("#note").startswith("Answered in ")
    assert page.run("document.getElementById('picture').naturalWidth") == 640
    assert page.run("document.getElementById('strip').hidden")


def test_the_lineage_is_shown(page: Page, model_file: ModelFile) -> None:
    shown = page.text("#model")
    for text in ("87.0 % (84.0 % to 90.0 %), 400 photographs", "v1", "cats-dogs/demo", "SimpleCNN", model_file.sha256):
        assert text in shown
    page.run("document.querySelector('summary').click()")
    assert json.loads(page.text("#lineage"))["sha256"] == model_file.sha256


def test_several_dropped_pictures_are_each_answered(page: Page, server: Running, photos: list[Path]) -> None:
    """With one request; the bad one among them says what is wrong with it and costs the others nothing."""
    first, second = (file.read_bytes() for file in photos)
    page.run(
        "{" + files_of((first, "image/jpeg"), (b"text", "image/jpeg"), (second, "image/png"))
        + "document.dispatchEvent(new DragEvent('drop', {dataTransfer: transfer, bubbles: true, cancelable: true}));}"
    )  # fmt: skip
    page.wait(ANSWERED)
    expected = [answer(server, file)["label"] for file in photos]
    names = page.run("[...document.querySelectorAll('#strip button')].map((button) => button.ariaLabel)")
    assert [name.split(":")[0] for name in names] == ["Picture 1", "Picture 2", "Picture 3"]
    assert expected[0] in names[0]
    assert expected[1] in names[2]
    assert len([request for request in page.requests if request.endswith("/predict")]) == 1
    page.run("document.querySelectorAll('#strip button')[1].click()")
    assert page.text("#verdict") == "Not a JPEG or PNG picture: send one of these two formats."
    assert page.text("#cat-share") == "\u2013"
    page.run("document.querySelectorAll('#strip button')[2].click()")
    assert page.text("#verdict").lower().endswith(f"a {expected[1]}")
    assert page.run("document.activeElement.getAttribute('aria-current')") == "true", "the focus stays in the strip"


def test_a_pasted_picture(page: Page, photos: list[Path]) -> None:
    page.run(
        "{" + files_of((photos[1].read_bytes(), "image/png"))
        + "document.dispatchEvent(new ClipboardEvent('paste', {clipboardData: transfer}));}"
    )  # fmt: skip
    page.wait(ANSWERED)


def test_no_picture_at_all(chromium: Browser, server: Running) -> None:
    page = Page(chromium, f"http://127.0.0.1:{server.port}/")  # which complains of the 400
    page.run("{" + files_of((b"hello", "text/plain")) + "take(transfer.files);}")
    page.wait("document.getElementById('verdict').classList.contains('error')")
    assert page.text("#verdict") == "Not a JPEG or PNG picture: send one of these two formats."
    page.wait("document.getElementById('picture').hidden")


@pytest.mark.parametrize("sample", ["cat", "dog", "bird"])
def test_the_samples(page: Page, sample: str) -> None:
    page.run(f"document.querySelector('[data-sample={sample}]').click()")
    page.wait(ANSWERED)


def test_the_heat_map_is_on_demand(page: Page, photos: list[Path]) -> None:
    page.choose(*photos)
    page.wait(ANSWERED)
    assert not [request for request in page.requests if request.endswith("/explain")]
    painted = (
        "document.getElementById('heat').getContext('2d').getImageData(0, 0, 480, 360).data"
        ".some((value, place) => place % 4 === 3 && value > 50)"
    )
    page.run("document.getElementById('explain').click()")
    page.wait("!document.getElementById('heat').hidden")
    assert page.run(painted)
    same_place = (
        "JSON.stringify([...document.querySelectorAll('#picture, #heat')].map((e) => e.getBoundingClientRect()))"
    )
    image, map_ = json.loads(page.run(same_place))
    assert image == map_
    assert page.run("document.getElementById('explain').ariaPressed") == "true"
    assert page.text("#where").startswith("What spoke most for ")
    page.run("document.querySelectorAll('#strip button')[1].click()")
    assert page.run("document.getElementById('heat').hidden"), "a map belongs to its picture"
    page.run("document.querySelectorAll('#strip button')[0].click()")
    page.run("document.getElementById('explain').click()")
    assert page.run("document.getElementById('heat').hidden")
    assert page.run("document.getElementById('explain').ariaPressed") == "false"


FOCUS = "(({id, dataset, tagName}) => id || dataset.sample || tagName)(document.activeElement)"


def test_everything_is_reached_by_keyboard(page: Page) -> None:
    reached = []
    for _ in range(6):
        page.press("Tab")
        reached.append(page.run(FOCUS))
    assert reached == ["file", "cat", "dog", "bird", "SUMMARY", "A"]
    page.run("document.querySelector('[data-sample=dog]').focus()")
    page.press("Enter")
    page.wait(ANSWERED)
    page.run("document.getElementById('explain').focus()")
    page.press("Enter")
    page.wait("!document.getElementById('heat').hidden")


def test_a_screen_reader_is_told_the_same(page: Page, photos: list[Path]) -> None:
    page.choose(*photos)
    page.wait(ANSWERED)
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    found = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node["ignored"]]
    controls = [(role, name) for role, name in found if role in ("button", "progressbar", "link", "listitem", "image")]
    assert [name for role, name in controls if role == "progressbar"] == ["Cat", "Dog"]
    assert all(name for role, name in controls if role != "listitem"), controls
    assert ("heading", "The answer") in found
    live = {node["role"]["value"] for node in nodes if node["role"]["value"] == "status"}
    assert live == {"status"}


CONTRAST = """(() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const linear = (part) => part <= .04045 ? part / 12.92 : ((part + .055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => .2126 * linear(r / 255) + .7152 * linear(g / 255) + .0722 * linear(b / 255);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = rgb(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const bad = [];
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.checkVisibility() || element.closest('script, .strip')) continue;
    const both = [rgb(getComputedStyle(element).color), ground(element)].map(light).sort((x, y) => y - x);
    const contrast = (both[0] + .05) / (both[1] + .05);
    if (contrast < 4.5) bad.push(element.outerHTML.slice(0, 80) + ' ' + contrast.toFixed(2));
  }
  return bad;
})()"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("path", ["/", "/docs"])
def test_text_can_be_read_in_light_and_dark(chromium: Browser, server: Running, path: str, dark: bool) -> None:
    """WCAG 2.2 level AA: 4.5 to 1."""
    opened = Page(chromium, f"http://127.0.0.1:{server.port}{path}", dark=dark)
    if path == "/":
        opened.wait(READY)
        opened.run("document.querySelector('[data-sample=cat]').click()")
        opened.wait(ANSWERED)
    assert opened.run(CONTRAST) == []
    ground = opened.run("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0]")
    assert (ground < 60) == dark
    assert opened.complaints == []


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_narrow_window_needs_no_scrolling_sideways(
    chromium: Browser, server: Running, photos: list[Path], path: str
) -> None:
    opened = Page(chromium, f"http://127.0.0.1:{server.port}{path}", width=320)
    if path == "/":
        opened.wait(READY)
        opened.choose(*photos * 8)
        opened.wait(ANSWERED)
    assert opened.run("document.documentElement.scrollWidth") <= 320


def test_a_server_with_keys_asks_for_one(chromium: Browser, model_file: ModelFile, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(KEY)
    running = start(model_file, API_KEYS_FILE=str(tmp_path / "keys"))
    try:
        running.wait_for("healthy")
        opened = Page(chromium, f"http://127.0.0.1:{running.port}/")
        opened.wait("!document.getElementById('key-form').hidden")
        opened.run("document.querySelector('[data-sample=cat]').click()")
        opened.wait("document.getElementById('verdict').textContent.startsWith('An API key is needed')")
        opened.run("document.getElementById('key').value = 'wrong'; document.querySelector('#key-form button').click()")
        opened.wait("!document.getElementById('key-form').hidden")
        opened.run(
            f"document.getElementById('key').value = '{KEY}'; document.querySelector('#key-form button').click()"
        )
        opened.wait(READY)
        opened.wait(ANSWERED)
        assert opened.run("document.getElementById('key-form').hidden")
    finally:
        stop(running)


def test_a_server_without_a_model_says_why(chromium: Browser, tmp_path: Path) -> None:
    running = start(ModelFile(tmp_path / "none.pt", "0" * 64))
    try:
        running.wait_for("failed")
        opened = Page(chromium, f"http://127.0.0.1:{running.port}/")
        opened.wait("document.getElementById('state').textContent.includes('does not exist')")
    finally:
        stop(running)
