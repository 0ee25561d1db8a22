"""/metrics for Prometheus: the door's numbers, in its text form."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from ctorrent.door import Door, Plain
from ctorrent.web.said import raw

_NAME = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})?')
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')


def router(door: Door) -> APIRouter:
    routes = APIRouter(tags=["monitoring"])

    @routes.get("/metrics", summary="Numbers for Prometheus", **raw("text/plain"))
    async def metrics() -> Response:
        """With the token, as every call; the setting metrics_open serves it without."""
        return Response(text_of(await door.metrics()), media_type=CONTENT_TYPE_LATEST)

    return routes


def text_of(found: Plain) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Found(found))
    return generate_latest(registry)


class _Found(Collector):
    """live.Metrics, family by family."""

    def __init__(self, found: Plain) -> None:
        self._found = found

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Any] = {}
        kinds: dict[str, Any] = {"gauges": GaugeMetricFamily, "counters": CounterMetricFamily, "histograms": HistogramMetricFamily}
        for kind, made in kinds.items():
            for key, value in self._found.get(kind, {}).items():
                name, labels = split(key)
                family = families.get(name)
                if family is None:
                    family = families[name] = made(name, self._found.get("help", {}).get(name, name), labels=tuple(labels))
                if kind == "histograms":
                    bounds = [*map(str, map(float, value["bounds"])), "+Inf"]
                    family.add_metric(list(labels.values()), list(zip(bounds, value["counts"], strict=True)), value["sum"])
                else:
                    family.add_metric(list(labels.values()), value)
        yield from families.values()


def split(key: str) -> tuple[str, dict[str, str]]:
    """'ctorrent_jobs{state="running"}' -> its name and labels."""
    found = _NAME.fullmatch(key)
    assert found is not None, key
    return found[1], dict(_LABEL.findall(found[2] or ""))
