"""Flower records and plain Python, both ways: names as JSON bytes, numbers as arrays.

Blobs travel as uint8 arrays: Flower cuts arrays into chunks, config bytes it does not.
"""

import hashlib
import io
import json
import math
import zlib
from dataclasses import asdict
from functools import cached_property
from typing import Any

import numpy as np
import numpy.lib.format as npy
from flwr.app import Array, ArrayRecord, RecordDict

from common.errors import WireError
from common.panel import Panel
from common.pruned import Kept
from common.secure.backend import SumContext

JSON = "json"
# Several arrays as one: Flower moves each in some five messages of its own.
PACKED = "*"
ALIGNED = 64
# Flower's name for the bytes of numpy.save.
STYPE = "numpy.ndarray"
# Booleans, integers, floats.
NUMBERS = "biuf"


def to_record(values: dict[str, Any], arrays: dict[str, dict[str, np.ndarray]]) -> RecordDict:
    """A message's content: JSON-serialisable ``values`` and named groups of arrays."""
    blob = np.frombuffer(zlib.compress(json.dumps(values).encode(), 1), dtype=np.uint8)
    record = RecordDict({JSON: ArrayRecord({JSON: Array(blob)})})
    for group, members in arrays.items():
        if len(members) > 1:
            members = {PACKED: pack(members)}
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
    if array.dtype.kind not in NUMBERS:
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
    if dtype.kind not in NUMBERS:
        raise WireError(f"an array of {dtype} cannot be read; use the same version")
    values = np.frombuffer(array.data, dtype, offset=file.tell())
    return values.reshape(shape, order="F" if fortran_order else "C")


def pack(members: dict[str, np.ndarray]) -> np.ndarray:
    """Arrays as one, uint8, (n,): a JSON list of names, types and shapes, then their bytes.

    Raises
    ------
    WireError
        They are not plain numbers.
    """
    arrays = {name: np.asarray(array, order="C") for name, array in members.items()}
    for array in arrays.values():
        if array.dtype.kind not in NUMBERS:
            raise WireError(f"an array of {array.dtype} cannot be sent")
    listed = [[name, array.dtype.str, array.shape] for name, array in arrays.items()]
    head = json.dumps(listed).encode()
    head = len(head).to_bytes(8, "little") + head
    sizes = [len(head), *(array.nbytes for array in arrays.values())]
    starts = np.cumsum([0, *(_aligned(size) for size in sizes)])
    blob = np.zeros(starts[-1], dtype=np.uint8)
    blob[: len(head)] = np.frombuffer(head, dtype=np.uint8)
    for start, array in zip(starts[1:], arrays.values(), strict=False):
        blob[start : start + array.nbytes] = array.reshape(-1).view(np.uint8)
    return blob


def unpack(blob: np.ndarray) -> dict[str, np.ndarray]:
    """The arrays of :func:`pack`, as read-only views.

    Raises
    ------
    WireError
        It is not as :func:`pack` makes it.
    """
    try:
        end = 8 + int.from_bytes(blob[:8].tobytes(), "little")
        listed = json.loads(blob[8:end].tobytes())
        start, members = _aligned(end), {}
        for name, kind, shape in listed:
            dtype = np.dtype(kind)
            if dtype.kind not in NUMBERS or min(shape, default=0) < 0:
                raise ValueError(f"{name!r} is {kind} {shape}")
            size = math.prod(shape) * dtype.itemsize
            if len(blob) < start + size:
                raise ValueError(f"{name!r} is cut off")
            members[name] = blob[start : start + size].view(dtype).reshape(shape)
            start += _aligned(size)
    except (ValueError, TypeError) as error:
        raise WireError(f"packed arrays cannot be read ({error}); use the same version") from None
    return members


def _aligned(size: int) -> int:
    return -(-size // ALIGNED) * ALIGNED


def content_bytes(record: RecordDict) -> int:
    """Bytes of all arrays of a message, its JSON part among them.

    Raises
    ------
    WireError
        It carries anything else.
    """
    if len(record.array_records) < len(record):
        raise WireError("a message carries other records than arrays; use the same version")
    groups = record.array_records.values()
    return sum(len(array.data) for group in groups for array in group.values())


def values_of(record: RecordDict, limit: float = math.inf) -> dict[str, Any]:
    """The JSON part of a message, of at most ``limit`` bytes.

    Raises
    ------
    WireError
        It is longer.
    """
    blob = from_array(record.array_records[JSON][JSON]).tobytes()
    stream = zlib.decompressobj()
    text = stream.decompress(blob, 0 if math.isinf(limit) else int(limit) + 1)
    if len(text) > limit:
        raise WireError(f"a message unpacks to more than {limit / 1e6:g} MB")
    return json.loads(text)


def content_digest(
    values: dict[str, Any], groups: dict[str, dict[str, np.ndarray]], settings: str
) -> str:
    """A hash of everything that a phase asks of a site, but for the sum's own identity and keys.

    Parameters
    ----------
    values, groups
        The JSON part and the arrays, as :func:`to_record` takes them.
    settings
        The run's.
    """
    # In their order, which a message keeps and a phase may go by.
    asked = [(name, value) for name, value in values.items() if name not in ("sum", "keys")]
    digest = hashlib.sha256(json.dumps([settings, asked]).encode())
    for group in sorted(groups):
        for name, array in sorted(groups[group].items()):
            array = np.asarray(array, order="C")
            head = [group, name, array.dtype.str, array.shape]
            digest.update(json.dumps(head).encode())
            digest.update(array.reshape(-1).view(np.uint8))
    return digest.hexdigest()


def arrays_of(record: RecordDict, group: str) -> dict[str, np.ndarray]:
    """A group of arrays of a message; empty if it has none of that name."""
    members = record.array_records.get(group)
    if members is None:
        return {}
    if PACKED in members:
        return unpack(from_array(members[PACKED]))
    return {name: from_array(array) for name, array in members.items()}


def panel_parts(panel: Panel) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """A panel as JSON values and arrays."""
    names = {"vocabulary": panel.vocabulary, "genes": panel.genes}
    return names, {"mean": panel.mean, "sd": panel.sd}


def context_value(context: SumContext) -> dict[str, Any]:
    """A sum's identity as JSON, without its content, of which the site makes its own hash."""
    return {**asdict(context), "content": ""}


class Request:
    """What the coordinator asks in one message, each part read once.

    Parameters
    ----------
    record
        The message's content.
    limit
        Bytes that its JSON part may have.
    """

    def __init__(self, record: RecordDict, limit: float = math.inf):
        self._record = record
        self._limit = limit

    @cached_property
    def values(self) -> dict[str, Any]:
        """The JSON part."""
        return values_of(self._record, self._limit)

    def arrays(self, group: str) -> dict[str, np.ndarray]:
        """A group of arrays; empty if there is none of that name."""
        return arrays_of(self._record, group)

    @cached_property
    def kept(self) -> Kept:
        """Which weights of the model are kept."""
        return Kept.received(self.values, self.arrays("kept"))

    @property
    def model(self) -> dict[str, np.ndarray]:
        """The model in a message that carries one, with zeros where it is pruned."""
        return self.kept.whole(self.arrays("model"))

    @cached_property
    def panel(self) -> Panel:
        """Genes and scaling, in a message that carries them."""
        names, arrays = self.values["panel"], self.arrays("panel")
        return Panel(
            tuple(names["vocabulary"]), tuple(names["genes"]), arrays["mean"], arrays["sd"]
        )

    def context(self, settings: str) -> SumContext | None:
        """The sum that the site is asked to take part in, if any, under the run's ``settings``."""
        if "sum" not in self.values:
            return None
        groups = {
            group: self.arrays(group) for group in self._record.array_records if group != JSON
        }
        digest = content_digest(self.values, groups, settings)
        return SumContext(**{**self.values["sum"], "content": digest})
