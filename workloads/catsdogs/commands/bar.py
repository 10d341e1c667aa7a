"""A progress bar under the lines that a run prints, on a terminal only; nothing but lines elsewhere.
It must not hold up the run: what it draws is read from the file that the stages write anyway."""

from __future__ import annotations

import shutil
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from catsdogs.pipeline import progress

WIDTH = 24
INTERVAL = 0.2


class Bar:
    """Draws `file` on the last line of a terminal, and prints lines above it; a context manager."""

    def __init__(self, file: Path, out: TextIO | None = None) -> None:
        self.file = file
        self.out = out or sys.stderr
        self.drawing = self.out.isatty()
        self.lock = threading.Lock()
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._draw_forever, daemon=True)

    def __enter__(self) -> Self:
        self.file.unlink(missing_ok=True)
        if self.drawing:
            self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended.set()
        if self.drawing:
            self.thread.join()
            self._write("\r\x1b[K")

    def say(self, line: str) -> None:
        """Print a line; on a terminal it takes the place of the bar, which is drawn again below it."""
        self._write(f"\r\x1b[K{line}\n" if self.drawing else f"{line}\n")

    def _write(self, text: str) -> None:
        with self.lock:
            self.out.write(text)
            self.out.flush()

    def _draw_forever(self) -> None:
        while not self.ended.wait(INTERVAL):
            if report := progress.read(self.file):
                columns = shutil.get_terminal_size().columns
                self._write(f"\r\x1b[K{line(report)[: columns - 1]}")


def line(report: dict[str, Any]) -> str:
    """A report of `pipeline.progress` as one line: stage, bar, percent, epoch, accuracy and time left."""
    percent = min(100, max(0, int(report.get("percent", 0))))
    full = round(WIDTH * percent / 100)
    parts = [f"{report.get('stage', ''):<10}", "█" * full + "░" * (WIDTH - full), f"{percent:>3} %"]
    if "epoch" in report:
        parts.append(f"epoch {report['epoch']}/{report.get('epochs', '?')}")
    if "valAccuracy" in report:
        parts.append(f"accuracy {report['valAccuracy']:.3f}")
    if "etaSeconds" in report:
        parts.append(f"{report['etaSeconds']} s left")
    return "  ".join(parts)
