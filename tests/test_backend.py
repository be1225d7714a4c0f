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


def test_the_sum_is_modulo_the_ring_and_leaves_the_uploads_as_they_are(vectors):
    off = backend("off")
    uploads = {site: off.upload(vector, CONTEXT) for site, vector in vectors.items()}
    before = {site: vector.tolist() for site, vector in vectors.items()}
    columns = list(zip(*before.values(), strict=True))
    expected = [sum(column) % 2**64 for column in columns]
    assert expected != [sum(column) for column in columns]
    assert off.open(uploads, {}, CONTEXT).tolist() == expected
    assert off.open(dict(reversed(uploads.items())), {}, CONTEXT).tolist() == expected
    assert {site: upload["vector"].tolist() for site, upload in uploads.items()} == before


def test_off_sends_the_vector_itself_and_has_nothing_to_reveal(vectors):
    off = backend("off")
    upload = off.upload(vectors["a"], CONTEXT)
    assert list(upload) == ["vector"]
    np.testing.assert_array_equal(upload["vector"], vectors["a"])
    assert not off.reveals
    assert off.reveal(["a", "b"], CONTEXT) == {}


def test_uploads_of_different_lengths_are_refused(vectors):
    uploads = {"a": {"vector": vectors["a"]}, "b": {"vector": vectors["b"][:8]}}
    with pytest.raises(SecureSumError, match=r"moments: .*different lengths: {'a': 9, 'b': 8}"):
        backend("off").open(uploads, {}, CONTEXT)


def test_no_upload_opens_nothing():
    with pytest.raises(SecureSumError):
        backend("off").open({}, {}, CONTEXT)


def test_an_unknown_backend_is_answered_with_the_known_ones():
    with pytest.raises(SecureSumError, match=r"'of': did you mean 'off'\? Known: off"):
        backend("of")
