"""Prometheus's HTTP API for tests, and what every query of dashboards and alerts must meet on real series."""

import itertools
import json
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from scripts import dashboards
from tests.contract.monitored import alerts, groups, records

Eventually = Callable[[str, Callable[[], bool]], object]
"""Waits until the second says so, or fails with the words of the first."""


class Prometheus:
    """Its HTTP API."""

    def __init__(self, address: str) -> None:
        self.address = address

    def get(self, path: str, **query: str) -> Any:
        with urllib.request.urlopen(
            f"{self.address}/api/v1/{path}?{urllib.parse.urlencode(query)}", timeout=20
        ) as said:
            return json.load(said)["data"]

    def series(self, query: str) -> list[dict[str, str]]:
        """The labels of an instant query's answer."""
        return [each["metric"] for each in self.get("query", query=query)["result"]]

    def selectors(self, query: str) -> Iterator[dict[str, Any]]:
        """Each selector of series in a query, as Prometheus itself reads it."""
        yield from _selectors(self.get("parse_query", query=query))

    def alert(self, name: str) -> set[tuple[str, str]]:
        """State and the ModelServer's name, or "", of each active alert of that name."""
        active = [each for each in self.get("alerts")["alerts"] if each["labels"]["alertname"] == name]
        return {(each["state"], each["labels"].get("name", "")) for each in active}


def _selectors(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, list):
        for each in node:
            yield from _selectors(each)
    elif isinstance(node, dict):
        if node.get("type") in ("vectorSelector", "matrixSelector"):
            yield node
        else:
            yield from _selectors(list(node.values()))


@contextmanager
def asking(address: str, bodies: Sequence[bytes]) -> Iterator[None]:
    """A client that sends the bodies in turn, ten a second; one that is no picture is refused."""
    ending = threading.Event()

    def ask() -> None:
        for body in itertools.cycle(bodies):
            if ending.wait(0.1):
                return
            request = urllib.request.Request(address, body, {"Content-Type": "image/jpeg"})
            try:
                urllib.request.urlopen(request, timeout=30).close()
            except urllib.error.HTTPError as error:
                error.close()
                if error.code != 400:
                    raise

    client = threading.Thread(target=ask)
    client.start()
    try:
        yield
    finally:
        ending.set()
        client.join()


def query_has_an_answer(prometheus: Prometheus, query: str, absent: Collection[str], eventually: Eventually) -> None:
    """A query of a dashboard, with a namespace chosen and without; none where `absent` lists one of its series."""
    chosen, all_of_them = query.replace("$namespace", ".+"), dashboards.everywhere(query)
    missing = set(absent) & {each["name"] for each in prometheus.selectors(chosen)}
    for asked in (chosen, all_of_them):
        if missing:
            assert prometheus.series(asked) == [], f"{asked}: {missing} are there"
        else:
            eventually(f"{asked} has an answer", lambda asked=asked: bool(prometheus.series(asked)))


def rules_record(prometheus: Prometheus, absent: Collection[str], eventually: Eventually) -> None:
    """Every rule is evaluated without an error, and what it records is there unless it is listed in `absent`."""

    def health() -> list[str]:
        return [rule["health"] for group in prometheus.get("rules")["groups"] for rule in group["rules"]]

    assert len(health()) == sum(len(group["rules"]) for group in groups().values())
    eventually("every rule is evaluated without an error", lambda: set(health()) == {"ok"})
    for name in records():
        if name in absent:
            assert prometheus.series(name) == []
        else:
            eventually(f"{name} is recorded", lambda name=name: bool(prometheus.series(name)))


def alert_has_its_series(prometheus: Prometheus, alert: str, absent: Collection[str], eventually: Eventually) -> None:
    """Each series that an alert asks for is there, unless `absent` has METRIC, or METRIC and its last label's value."""
    for selector in prometheus.selectors(alerts()[alert]["expr"]):
        matchers = [each for each in selector["matchers"] if each["name"] != "__name__"]
        words = ", ".join(f"{each['name']}{each['type']}{json.dumps(each['value'])}" for each in matchers)
        query = f"last_over_time({selector['name']}{{{words}}}[30m])"
        if {selector["name"], f"{selector['name']} {matchers[-1]['value'] if matchers else ''}"} & set(absent):
            assert prometheus.series(query) == []
        else:
            eventually(f"{query} has series", lambda query=query: bool(prometheus.series(query)))
