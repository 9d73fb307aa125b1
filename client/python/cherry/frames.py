"""Recorded series as pandas frames."""

from __future__ import annotations

from typing import Iterable

from cherry import errors
from cherry.v1 import resources_pb2

try:
    import pandas
except ImportError:
    raise errors.CherryError("pandas is not installed", reason="PANDAS_MISSING",
                             remedy="pip install 'cherry-client[pandas]'") from None


def of_samples(samples: Iterable[resources_pb2.MetricSample]) -> pandas.DataFrame:
    """A row for each: name, step, value, time (seconds since the first attempt started)."""
    rows = [(s.name, s.step, s.value, s.time) for s in samples]
    frame = pandas.DataFrame(rows, columns=["name", "step", "value", "time"])
    return frame.astype({"step": "int64", "value": "float64", "time": "float64"})


def wide(frame: pandas.DataFrame) -> pandas.DataFrame:
    """A column for each series, by step; a step where a series has no sample is NaN there."""
    return frame.pivot_table(index="step", columns="name", values="value", aggfunc="last")
