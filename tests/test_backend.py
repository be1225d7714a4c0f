"""The plain `off` backend, and names of backends."""

import numpy as np
import pytest

from common.errors import SecureSumError
from common.secure.backend import SumContext, backend

CONTEXT = SumContext("run", "moments", 0, 0, 3)


@pytest.fixture
def vectors() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {site: rng.integers(2**64, size=9, dtype=np.uint64) for site in "abc"}


def test_off_sends_the_vector_itself_and_has_nothing_to_reveal(vectors):
    off = backend("off")
    upload = off.upload(vectors["a"], CONTEXT)
    assert list(upload) == ["vector"]
    np.testing.assert_array_equal(upload["vector"], vectors["a"])
    assert not off.reveals
    assert off.reveal(["a", "b"], CONTEXT) == {}


def test_off_opens_the_total_as_it_is(vectors):
    np.testing.assert_array_equal(
        backend("off").open(vectors["b"], {"a": {}}, {}, CONTEXT), vectors["b"]
    )


def test_an_unknown_backend_is_answered_with_the_known_ones():
    with pytest.raises(SecureSumError, match=r"'of': did you mean 'off'\? Known: off"):
        backend("of")
