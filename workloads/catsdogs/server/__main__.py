"""`python -m catsdogs.server`: reads the settings and serves. It must not import torch before the ports
are open, so that /health answers from the first second."""

from __future__ import annotations

import logging
import os
import sys

from catsdogs.server import logs, serve
from catsdogs.server.config import ConfigError, from_env

EXIT_CONFIG = 78


def main() -> int:
    """The process's exit status: 0 after a SIGTERM and a full drain, 78 for a wrong setting."""
    logs.configure("INFO")
    try:
        settings = from_env(os.environ)
        logging.getLogger().setLevel(settings.log_level)
        serve.run(settings)
    except ConfigError as error:
        logging.getLogger("catsdogs.server").critical("%s", error)
        return EXIT_CONFIG
    return 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    # Not sys.exit: a loader that is still importing torch would be torn down half-way and abort the process.
    os._exit(status)
