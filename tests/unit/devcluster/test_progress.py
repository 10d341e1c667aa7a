"""Steps leave one line each, errors are told once, and a terminal gets a live table instead of lines."""

import io
import threading

import pytest
from rich.console import Console

from devcluster import progress
from devcluster.progress import Reporter, Timing, duration, first_line


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def report(out: io.StringIO, clock: Clock) -> Reporter:
    return Reporter(Console(file=out, width=120), clock)


def test_steps_nest_and_leave_a_line_at_start_and_end(report: Reporter, out: io.StringIO, clock: Clock) -> None:
    with report.step("Images") as images:
        with report.step("trainer") as trainer:
            trainer.update(0.5, "layer 3")
            clock.now = 75.0
        report.note("a note")
        images.done("1 built")

    assert out.getvalue().splitlines() == [
        "· Images …",
        "  · trainer …",
        "  ✓ trainer  1 min 15 s",
        "a note",
        "✓ Images  1 min 15 s  1 built",
    ]
    assert report.timings == [Timing("trainer", 75.0, True, 1), Timing("Images", 75.0, True, 0)]


def test_an_error_is_told_once_in_one_line_and_raised_on(report: Reporter, out: io.StringIO) -> None:
    error = OSError("\nno space left\nand more")

    with pytest.raises(OSError, match="no space left"), report.step("Images"), report.step("trainer"):
        raise error

    assert out.getvalue().splitlines()[2:] == ["  ✗ trainer  0.0 s  no space left", "✗ Images  0.0 s"]
    assert report.told(error)
    assert not report.told(OSError("another"))
    assert [timing.ok for timing in report.timings] == [False, False]


def test_an_interruption_has_a_word_of_its_own(report: Reporter, out: io.StringIO) -> None:
    with pytest.raises(KeyboardInterrupt), report.step("Images"):
        raise KeyboardInterrupt

    assert out.getvalue().splitlines()[-1] == "✗ Images  0.0 s  interrupted"


def test_words_that_look_like_markup_are_printed_as_they_are(report: Reporter, out: io.StringIO) -> None:
    with report.step("[red]x[/red]") as step:
        step.done("[1/2] y")

    assert out.getvalue().splitlines()[-1] == "✓ [red]x[/red]  0.0 s  [1/2] y"


def test_a_long_step_gives_a_sign_of_life_and_the_sign_ends_with_it(
    report: Reporter, out: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = threading.Event()
    monkeypatch.setattr(progress, "HEARTBEAT_SECONDS", 0.001)
    original = report._pulse

    def pulse(step: progress.Step) -> str:
        seen.set()
        return original(step)

    monkeypatch.setattr(report, "_pulse", pulse)

    with report.step("trainer") as step:
        step.update(0.25, "STEP 2/8")
        assert seen.wait(10)

    assert "  trainer … 0.0 s 25% STEP 2/8" in out.getvalue().splitlines()
    for thread in threading.enumerate():
        if thread.name == "progress-heartbeat":
            thread.join(10)
            assert not thread.is_alive()


def test_steps_of_several_threads_do_not_nest_in_each_other(report: Reporter) -> None:
    both = threading.Barrier(2)

    def work(name: str) -> None:
        with report.step(name):
            both.wait(10)

    threads = [threading.Thread(target=work, args=(name,)) for name in ("etcd", "kubelet")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted((timing.title, timing.depth) for timing in report.timings) == [("etcd", 0), ("kubelet", 0)]


def test_a_terminal_gets_a_live_table_with_a_bar(out: io.StringIO) -> None:
    report = Reporter(Console(file=out, width=100, force_terminal=True), Clock())

    with report.step("Downloading") as step:
        step.update(0.5, "400 of 800 MB")
        Console(file=out, width=100).print(report._table())

    shown = out.getvalue()
    assert "━" in shown
    assert "400 of 800 MB" in shown
    assert "· Downloading" not in shown
    assert any("✓" in line and "Downloading" in line for line in shown.splitlines())


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.6, "1 min 00 s"), (185, "3 min 05 s")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_first_line_that_says_anything() -> None:
    assert first_line("\n  \n  two \nthree") == "two"
    assert first_line("") == ""
