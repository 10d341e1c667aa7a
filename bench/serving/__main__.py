"""The inference server against a plain FastAPI server, LitServe twice, and a floor without HTTP.

    python -m bench.serving --data FOLDER [--model model.pt] [--rounds 7]

All servers are started once and stopped in their tracks (SIGSTOP) while another one is measured, so that each round
measures all of them in turns, warm. A row is the median of the rounds' ratios, with their range. Clients run on the
same cores as the servers; what they cost is measured and said.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.photos import parser
from bench.serving import measure, pictures, report, startup, tuning, venv
from bench.serving.measure import Setting

SETTINGS = ("photographs", "large", "wide")


def main() -> None:
    given = _options()
    python = venv.python()
    with tempfile.TemporaryDirectory(prefix="bench-serving-") as temporary:
        work = Path(temporary)
        photos = pictures.photographs(given.data, work)
        model = given.model or pictures.trained(given.data or work / "drawings", work, given.train_seconds)
        load = os.getloadavg()[0]
        print(f"{os.cpu_count()} cores, load {load:.1f}; {given.rounds} rounds of {given.seconds:g} s: median (range)")
        for setting in _settings(given.settings, photos, model, work):
            tuned = dict(zip(tuning.NAMES, given.tuned, strict=True)) if given.tuned else tuning.best(python, setting)
            print(f"\n{setting.name}; LitServe tuned: {tuned}", flush=True)
            with measure.servers(python, setting, tuned) as running:
                rounds = [measure.one_round(setting, running, given.seconds) for _ in range(given.rounds)]
                report.check_answers(rounds[-1])
                report.table(rounds)
                report.memory(running)
                report.saturated(measure.saturated(setting, running["ours"]))
                report.open_loop(measure.open_loop(setting, running["ours"], rounds, given.open_seconds))
        picture = min(photos.iterdir())
        report.started(startup.rounds(pictures.resized(model, 96, work), picture, given.rounds, work))


def _settings(names: list[str], photos: Path, model: Path, work: Path) -> Iterator[Setting]:
    """Each is made when its turn comes."""
    for name in names:
        size = 224 if name == "wide" else 96
        sent = pictures.large(photos, work) if name == "large" else photos
        text = "12 megapixels" if name == "large" else f"{pictures.PHOTOGRAPHS} photographs"
        yield Setting(f"{text}, {size} px", sent, pictures.resized(model, size, work))


def _options() -> argparse.Namespace:
    options = parser(__doc__ or "")
    options.set_defaults(rounds=7)
    options.add_argument("--model", type=Path, help="a model.pt; without it one is trained on the photographs")
    options.add_argument("--seconds", type=float, default=2.0, help="of each measurement of each side")
    options.add_argument("--open-seconds", type=float, default=20.0, help="of the open loop")
    options.add_argument("--settings", nargs="*", default=SETTINGS, choices=SETTINGS, help="what is sent to what model")
    options.add_argument("--tuned", nargs=4, metavar=tuning.NAMES, help="LitServe's settings, instead of the trials")
    options.add_argument("--train-seconds", type=int, default=90)
    return options.parse_args()


if __name__ == "__main__":
    main()
