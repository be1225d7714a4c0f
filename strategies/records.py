"""Flower records and plain Python, both ways: names as JSON bytes, numbers as arrays.

Blobs travel as uint8 arrays: Flower cuts arrays into chunks, config bytes it does not.
"""

import io
import json
import zlib
from dataclasses import asdict
from functools import cached_property
from typing import Any

import numpy as np
import numpy.lib.format as npy
from flwr.app import Array, ArrayRecord, RecordDict

from common.errors import WireError
from common.panel import Panel
from common.secure.backend import SumContext

JSON = "json"
# Flower's name for the bytes of numpy.save.
STYPE = "numpy.ndarray"


def to_record(values: dict[str, Any], arrays: dict[str, dict[str, np.ndarray]]) -> RecordDict:
    """A message's content: JSON-serialisable ``values`` and named groups of arrays."""
    blob = np.frombuffer(zlib.compress(json.dumps(values).encode(), 1), dtype=np.uint8)
    record = RecordDict({JSON: ArrayRecord({JSON: Array(blob)})})
    for group, members in arrays.items():
        record[group] = ArrayRecord({name: to_array(array) for name, array in members.items()})
    return record


def to_array(array: np.ndarray) -> Array:
    """Flower's Array of ``array``, with one copy where its own constructor makes several.

    Raises
    ------
    WireError
        They are not plain numbers.
    """
    array = np.asarray(array, order="C")
    if array.dtype.hasobject:
        raise WireError(f"an array of {array.dtype} cannot be sent")
    header = io.BytesIO()
    npy.write_array_header_1_0(header, npy.header_data_from_array_1_0(array))
    data = b"".join([header.getvalue(), array.reshape(-1).view(np.uint8)])
    return Array(str(array.dtype), array.shape, STYPE, data)


def from_array(array: Array) -> np.ndarray:
    """A read-only view of an Array's bytes.

    Raises
    ------
    WireError
        They are not plain numbers.
    """
    file = io.BytesIO(array.data)
    if array.stype != STYPE or npy.read_magic(file) != (1, 0):
        raise WireError(f"an array of type {array.stype} cannot be read; use the same version")
    shape, fortran_order, dtype = npy.read_array_header_1_0(file)
    if dtype.hasobject:
        raise WireError(f"an array of {dtype} cannot be read; use the same version")
    values = np.frombuffer(array.data, dtype, offset=file.tell())
    return values.reshape(shape, order="F" if fortran_order else "C")


def content_bytes(record: RecordDict) -> int:
    """Bytes of all arrays of a message, its JSON part among them."""
    groups = record.array_records.values()
    return sum(len(array.data) for group in groups for array in group.values())


def values_of(record: RecordDict) -> dict[str, Any]:
    """The JSON part of a message."""
    return json.loads(zlib.decompress(from_array(record.array_records[JSON][JSON])))


def arrays_of(record: RecordDict, group: str) -> dict[str, np.ndarray]:
    """A group of arrays of a message; empty if it has none of that name."""
    members = record.array_records.get(group)
    return {} if members is None else {name: from_array(array) for name, array in members.items()}


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
