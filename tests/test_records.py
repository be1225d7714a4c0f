"""Arrays as Flower carries them: the same bytes as its own, read without a copy."""

import numpy as np
import pytest
from flwr.app import Array

from common.errors import WireError
from strategies.records import from_array, to_array


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
