"""Flower records and plain Python, both ways: names as JSON bytes, numbers as arrays.

Blobs travel as uint8 arrays: Flower cuts arrays into chunks, config bytes it does not.
"""

import json
import zlib
from dataclasses import asdict
from functools import cached_property
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, RecordDict

from common.panel import Panel
from common.secure.backend import SumContext

JSON = "json"


def to_record(values: dict[str, Any], arrays: dict[str, dict[str, np.ndarray]]) -> RecordDict:
    """A message's content: JSON-serialisable ``values`` and named groups of arrays."""
    blob = np.frombuffer(zlib.compress(json.dumps(values).encode(), 1), dtype=np.uint8)
    record = RecordDict({JSON: ArrayRecord({JSON: Array(blob)})})
    for group, members in arrays.items():
        whole = {name: Array(np.asarray(array, order="C")) for name, array in members.items()}
        record[group] = ArrayRecord(whole)
    return record


def values_of(record: RecordDict) -> dict[str, Any]:
    """The JSON part of a message."""
    return json.loads(zlib.decompress(record.array_records[JSON][JSON].numpy().tobytes()))


def arrays_of(record: RecordDict, group: str) -> dict[str, np.ndarray]:
    """A group of arrays of a message; empty if it has none of that name."""
    members = record.array_records.get(group)
    return {} if members is None else {name: array.numpy() for name, array in members.items()}


def panel_parts(panel: Panel) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """A panel as JSON values and arrays."""
    names = {"vocabulary": panel.vocabulary, "genes": panel.genes}
    return names, {"mean": panel.mean, "sd": panel.sd}


def context_value(context: SumContext) -> dict[str, Any]:
    """A sum's identity as JSON."""
    return asdict(context)


class Request:
    """What the coordinator asks in one message, each part read once.

    Parameters
    ----------
    record
        The message's content.
    """

    def __init__(self, record: RecordDict):
        self._record = record

    @cached_property
    def values(self) -> dict[str, Any]:
        """The JSON part."""
        return values_of(self._record)

    def arrays(self, group: str) -> dict[str, np.ndarray]:
        """A group of arrays; empty if there is none of that name."""
        return arrays_of(self._record, group)

    @cached_property
    def panel(self) -> Panel:
        """Genes and scaling, in a message that carries them."""
        names, arrays = self.values["panel"], self.arrays("panel")
        return Panel(
            tuple(names["vocabulary"]), tuple(names["genes"]), arrays["mean"], arrays["sd"]
        )

    @cached_property
    def context(self) -> SumContext | None:
        """The sum that the site is asked to take part in, if any."""
        return SumContext(**self.values["sum"]) if "sum" in self.values else None
