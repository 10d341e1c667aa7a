"""Brings the model in: fetch, verify, warm up, then serve, tried again where that can help.
It must not make the server ready in any other way, and must not raise: the reason goes to /health."""

from __future__ import annotations

import importlib
import logging
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catsdogs.server.config import ConfigError, Settings, checked_address
from catsdogs.server.source import SourceError, UnavailableError, fetch
from catsdogs.server.state import Served, State

if TYPE_CHECKING:
    from catsdogs.server.predictor import Predictor

logger = logging.getLogger("catsdogs.server")

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0


def start(settings: Settings, state: State, loaded: Callable[[Served], None]) -> threading.Event:
    """Load in the background; the returned event, when set, ends the retries."""
    stop = threading.Event()
    thread = threading.Thread(target=run, args=(settings, state, loaded, stop), name="loader", daemon=True)
    thread.start()
    return stop


def run(settings: Settings, state: State, loaded: Callable[[Served], None], stop: threading.Event) -> None:
    """Try until a model is served, until it is sure that none can be, or until `stop`."""
    pause = FIRST_PAUSE
    begin = time.monotonic()
    while not stop.is_set():
        try:
            served = load(settings)
        except SourceError as error:
            told = state.wait if isinstance(error, UnavailableError) else state.fail
            told(f"{error}; tried again every {LONGEST_PAUSE:.0f} s or sooner")
            logger.warning("model not loaded: %s; next attempt in %.0f s", error, pause)
            stop.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        except Exception as error:
            known = isinstance(error, ConfigError | ValueError)
            reason = str(error) if known else f"{type(error).__name__}: {error}"
            state.fail(reason)
            logger.critical("no model will be served: %s", reason, exc_info=None if known else error)
            return
        else:
            loaded(served)
            state.serve(served)
            seconds = time.monotonic() - begin
            logger.info("model %s (%s) loaded in %.1f s", served.version, served.sha256[:12], seconds)
            return


def load(settings: Settings) -> Served:
    """One attempt. Raises SourceError, also for another file than was meant, which the right one may replace;
    ConfigError and model.ModelFileError, when no attempt can help."""
    address = checked_address(settings)
    # torch takes seconds to import: it does so while the file comes over the network.
    warming = threading.Thread(target=importlib.import_module, args=("catsdogs.server.predictor",))
    warming.start()
    with tempfile.TemporaryDirectory(prefix="model-") as folder:
        try:
            fetched = fetch(address, settings.tracking_uri, Path(folder))
        finally:
            warming.join()
        sha256 = settings.model_sha256 or fetched.sha256
        if not sha256:
            raise SourceError(f"{settings.model_uri} has no tag modelSha256, and MODEL_SHA256 is not set")
        loaded = _verified(settings.model_uri, fetched.path, sha256)
    return Served(
        predictor=loaded,
        uri=settings.model_uri,
        version=settings.model_version or str(fetched.description.get("version", "")),
        sha256=sha256,
        training_run=settings.training_run,
        description=_own(fetched.description, settings.model_uri, sha256),
    )


def _verified(uri: str, path: Path, sha256: str) -> Predictor:
    from catsdogs import model
    from catsdogs.server import predictor

    try:
        return predictor.load(path, sha256)
    except model.ModelFileError as error:
        text = f"{uri}: {str(error).removeprefix(f'{path}: ')}"
        raise (SourceError if isinstance(error, model.WrongFileError) else model.ModelFileError)(text) from error
    except OSError as error:
        raise SourceError(f"{uri} can't be read: {error.strerror}") from error


def _own(description: dict[str, Any], uri: str, sha256: str) -> dict[str, Any]:
    """The description, if it is of this very file; another model's lineage would be a lie."""
    if description and description.get("sha256") != sha256:
        logger.warning("model.json beside %s describes another file: lineage is unknown", uri)
        return {}
    return description
