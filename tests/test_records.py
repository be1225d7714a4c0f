"""Arrays as Flower carries them: the same bytes as its own, read without a copy."""

import numpy as np
import pytest
from flwr.app import Array

from common.errors import WireError
from strategies.records import (
    PACKED,
    arrays_of,
    content_bytes,
    from_array,
    pack,
    to_array,
    to_record,
    unpack,
)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(7, dtype=np.uint64),
        np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4),
        np.linspace(-1, 1, 12).reshape(3, 4).T,
        np.float64(3.5),
        np.zeros((0, 4)),
        np.array([True, False]),
    ],
)
def test_the_same_as_flowers_own(array):
    array = np.asarray(array)
    ours, flowers = to_array(array), Array(np.asarray(array, order="C"))
    assert ours == flowers
    for read in (from_array(ours), flowers.numpy()):
        np.testing.assert_array_equal(read, array)
        assert read.dtype == array.dtype


def test_what_is_read_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        from_array(to_array(np.zeros(3)))[0] = 1


def test_objects_and_other_bytes_are_refused():
    with pytest.raises(WireError, match="use the same version"):
        from_array(Array("float32", (3,), "torch.tensor", b"123"))
    header = to_array(np.zeros(2)).data.replace(b"'<f8'", b"'|O' ")
    with pytest.raises(WireError, match="an array of object cannot be read"):
        from_array(Array("object", (2,), "numpy.ndarray", header))


def test_objects_are_not_sent():
    with pytest.raises(WireError, match="an array of object"):
        to_array(np.array([{}]))


def members(rng):
    return {
        "layers.0.weight": rng.normal(size=(3, 5)).astype(np.float32),
        "n": np.int64(7),
        "empty": np.zeros((0, 4)),
        "flags": rng.random(11) < 0.5,
        "ring": rng.integers(0, 2**63, 9).astype(np.uint64),
        "turned": rng.normal(size=(4, 6)).T,
    }


def test_a_group_of_arrays_travels_as_one():
    given = members(np.random.default_rng(1))
    record = to_record({"a": 1}, {"model": given, "alone": {"w": np.arange(3)}})
    assert list(record["model"]) == [PACKED]
    assert list(record["alone"]) == ["w"]
    read = arrays_of(record, "model")
    assert list(read) == list(given)
    for name, array in given.items():
        np.testing.assert_array_equal(read[name], array)
        assert read[name].dtype == np.asarray(array).dtype
        assert not read[name].flags.writeable
    total = sum(np.asarray(array).nbytes for array in given.values())
    assert content_bytes(record) < total + 1500


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b[:-64],
        lambda b: b[:5],
        lambda b: b[:0],
        lambda b: b"\xff" * 8 + b[8:],
        lambda b: b.replace(b"<f4", b"|O8"),
        lambda b: b.replace(b"[3, 5]", b"[-3, 5]"[:6]),
        lambda b: b.replace(b"[3, 5]", b"[9, 9]"),
        lambda b: b.replace(b'"n"', b"nan"),
    ],
)
def test_damaged_groups_are_refused(damage):
    blob = pack({"w": np.zeros((3, 5), np.float32), "n": np.zeros(2), "v": np.zeros(40)})
    broken = np.frombuffer(damage(blob.tobytes()), dtype=np.uint8)
    with pytest.raises(WireError, match="packed arrays cannot be read"):
        unpack(broken)


def test_objects_are_not_packed():
    with pytest.raises(WireError, match="object cannot be sent"):
        pack({"a": np.zeros(2), "b": np.array([{}])})
