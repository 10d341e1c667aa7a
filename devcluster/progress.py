"""Shows long work as steps: a live table on a terminal, plain lines anywhere else.

It must not know what the steps do, and it never swallows an error: a failing step is reported and raised on.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

HEARTBEAT_SECONDS = 30.0
BAR_WIDTH = 16


@dataclass(eq=False)
class Step:
    """One running piece of work. `update` may be called from any thread."""

    title: str
    started: float
    depth: int = 0
    fraction: float | None = None
    text: str = ""
    result: str = ""
    spinner: Spinner = field(default_factory=lambda: Spinner("dots"))

    def update(self, fraction: float | None = None, text: str = "") -> None:
        """Say how far it is: `fraction` in 0..1 (None: unknown) and a few words."""
        self.fraction = None if fraction is None else min(1.0, max(0.0, fraction))
        self.text = first_line(text)

    def done(self, result: str) -> None:
        """Give the few words that stay behind the step's ✓."""
        self.result = first_line(result)


@dataclass(frozen=True)
class Timing:
    """A finished step: how long it took in seconds, whether it succeeded, and its depth (0: outermost)."""

    title: str
    seconds: float
    ok: bool
    depth: int


def first_line(text: str) -> str:
    """The first line of `text` that says anything, or an empty string."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def duration(seconds: float) -> str:
    """`seconds` as people write it: 0.4 s, 12 s, 3 min 05 s."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02d} s"


class Reporter:
    """Collects steps and shows them; steps may nest and may run in several threads at once."""

    def __init__(self, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.console = console or Console(file=sys.stdout, highlight=False)
        self.timings: list[Timing] = []
        self._clock = clock
        self._lock = threading.RLock()
        self._running: list[Step] = []
        self._depth = threading.local()
        self._told: BaseException | None = None
        self._live: Live | None = None
        self._stop = threading.Event()

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Run the body as a step: ends with one line, ✓ or ✗, and raises what the body raised."""
        depth = getattr(self._depth, "value", 0)
        self._depth.value = depth + 1
        step = Step(title, self._clock(), depth)
        self._begin(step)
        try:
            yield step
        except BaseException as error:
            self._end(step, error)
            raise
        else:
            self._end(step, None)
        finally:
            self._depth.value = depth

    def note(self, text: str, style: str = "") -> None:
        """Print one line that stays, above the running steps."""
        with self._lock:
            self.console.print(Text(text, style=style), soft_wrap=True)

    def show(self, renderable: RenderableType) -> None:
        """Print a table or another rich renderable that stays, above the running steps."""
        with self._lock:
            self.console.print(renderable)

    def told(self, error: BaseException) -> bool:
        """Whether the failing step has already printed this error, so that a caller need not."""
        return error is self._told

    def _begin(self, step: Step) -> None:
        with self._lock:
            self._running.append(step)
            if self.console.is_terminal:
                if self._live is None:
                    self._live = Live(
                        console=self.console,
                        get_renderable=self._table,
                        refresh_per_second=8,
                        transient=True,
                        redirect_stdout=False,
                        redirect_stderr=False,
                    )
                    self._live.start()
                return
            self.note(f"{'  ' * step.depth}· {step.title} …")
            if len(self._running) == 1:
                self._stop = threading.Event()
                threading.Thread(
                    target=self._heartbeat, args=(self._stop,), name="progress-heartbeat", daemon=True
                ).start()

    def _end(self, step: Step, error: BaseException | None) -> None:
        seconds = self._clock() - step.started
        with self._lock:
            if step in self._running:
                self._running.remove(step)
            self.timings.append(Timing(step.title, seconds, error is None, step.depth))
            line = Text("  " * step.depth)
            line.append("✗ " if error else "✓ ", style="bold red" if error else "bold green")
            line.append(step.title).append(f"  {duration(seconds)}", style="dim")
            detail = step.result if error is None else self._failure(error)
            if detail:
                line.append(f"  {detail}", style="red" if error else "dim")
            self.console.print(line, soft_wrap=True)
            if not self._running:
                self._close()

    def _failure(self, error: BaseException) -> str:
        """The error's first line, once: the outer steps it passes through show only their ✗."""
        if self.told(error):
            return ""
        self._told = error
        if isinstance(error, KeyboardInterrupt):
            return "interrupted"
        return first_line(str(error)) or type(error).__name__

    def _close(self) -> None:
        self._stop.set()
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _table(self) -> Table:
        now = self._clock()
        # Only the words give way on a narrow terminal: what runs, how far and how long stay readable.
        table = Table.grid(padding=(0, 1), expand=True)
        table.add_column(width=1)
        titles = [2 * step.depth + len(step.title) for step in self._running]
        table.add_column(no_wrap=True, min_width=min(max(titles, default=0), self.console.width // 2))
        table.add_column(width=BAR_WIDTH if any(step.fraction is not None for step in self._running) else 0)
        table.add_column(justify="right", no_wrap=True, min_width=len("99 min 59 s"))
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        for step in list(self._running):
            bar = ProgressBar(1.0, step.fraction, width=BAR_WIDTH) if step.fraction is not None else Text("")
            title = Text("  " * step.depth + step.title)
            elapsed = Text(duration(now - step.started), style="cyan")
            table.add_row(step.spinner, title, bar, elapsed, Text(step.text, style="dim"))
        return table

    def _heartbeat(self, stop: threading.Event) -> None:
        while not stop.wait(HEARTBEAT_SECONDS):
            with self._lock:
                for step in list(self._running):
                    self.note(f"{'  ' * step.depth}  {self._pulse(step)}")

    def _pulse(self, step: Step) -> str:
        share = "" if step.fraction is None else f" {step.fraction:.0%}"
        text = f" {step.text}" if step.text else ""
        return f"{step.title} … {duration(self._clock() - step.started)}{share}{text}"
