"""Flower records and plain Python, both ways: names as JSON bytes, numbers as arrays.

Blobs travel as uint8 arrays: Flower cuts arrays into chunks, config bytes it does not.
"""

import json
import zlib
from dataclasses import asdict
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


def panel_of(record: RecordDict) -> Panel:
    """The panel of a message that carries one."""
    names, arrays = values_of(record)["panel"], arrays_of(record, "panel")
    return Panel(tuple(names["vocabulary"]), tuple(names["genes"]), arrays["mean"], arrays["sd"])


def context_value(context: SumContext) -> dict[str, Any]:
    """A sum's identity as JSON."""
    return asdict(context)


def context_of(record: RecordDict) -> SumContext:
    """The sum that a message asks a site to take part in."""
    return SumContext(**values_of(record)["sum"])
