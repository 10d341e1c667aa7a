"""The floor: a process that only decodes pictures and runs the network, in a loop, with nothing around it.

    echo 2.0 | MODEL=model.pt PICTURES=folder python -m bench.serving.floor

Each line of its input is a number of seconds to work; each line of its output is what it did in them. It calls the
server's own function, so that all that it leaves out is what serving costs: HTTP, threads, admission, metrics, logs.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from pathlib import Path

from catsdogs.server import predictor


def main() -> None:
    path = Path(os.environ["MODEL"])
    loaded = predictor.load(path, hashlib.sha256(path.read_bytes()).hexdigest())
    predictor.one_thread()
    pictures = [file.read_bytes() for file in sorted(Path(os.environ["PICTURES"]).iterdir())]
    print("ready", flush=True)
    for line in sys.stdin:
        seconds, count, answers = float(line), 0, {}
        cpu, begin = time.process_time(), time.perf_counter()
        while time.perf_counter() < begin + seconds:
            number = count % len(pictures)
            answers[number] = loaded.predict(pictures[number]).probabilities
            count += 1
        done = {"count": count, "seconds": time.perf_counter() - begin, "cpu": time.process_time() - cpu}
        print(json.dumps({**done, "answers": answers}), flush=True)


if __name__ == "__main__":
    main()
