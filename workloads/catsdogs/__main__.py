"""`python -m catsdogs`, the same as the command `catsdogs`; from its first line on it can be told to stop.
It must not hold anything else of its own."""

import signal
import sys

# As process 1 of a container nothing else ends us before a stage has its own way to stop: SIGTERM would be lost, and
# the pod killed after its whole grace, which its Job counts as a failure.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

from catsdogs.cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
