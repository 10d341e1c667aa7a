"""Looks at a resource again and again, and prints what changes: for steps that wait.

It must not decide what is waited for.
"""

import time
from collections.abc import Callable, Iterator

from actions import DeliveryError
from kube import Resource, get

PATIENCE = 180.0  # seconds without an answer of the cluster that pass as a disturbance
PASSING = "Unreachable"


def looks(
    kind: str, name: str, namespace: str, seconds: float, pause: float, words: Callable[[Resource], str]
) -> Iterator[tuple[Resource, float]]:
    """The resource and the seconds since the first look, every `pause` seconds; ends after `seconds`.

    `words` are printed when they change. Raises DeliveryError when the resource is gone, or can't be read.
    """
    began = answered = time.monotonic()
    shown = ""
    while True:
        try:
            found = get(kind, name, namespace)
            answered = time.monotonic()
        except DeliveryError as trouble:
            if trouble.title != PASSING or time.monotonic() - answered > PATIENCE:
                raise
            print(f"{trouble} (tried again)", flush=True)
            time.sleep(pause)
            continue
        if found is None:
            raise DeliveryError("Deleted", f"{kind} {namespace}/{name} was deleted meanwhile: run this workflow again")
        if words(found) != shown:
            shown = words(found)
            print(f"{time.strftime('%H:%M:%S')} {shown}", flush=True)
        waited = time.monotonic() - began
        yield found, waited
        if waited > seconds:
            return
        time.sleep(pause)
