"""A phase's masked fields as one ring vector, and plain sums of such vectors."""

import numpy as np
import pytest

from common.errors import SecureSumError, WireError
from common.secure.backend import SumContext, backend
from common.secure.fields import pack, unpack
from common.wire import PHASES

CONTEXT = SumContext("run", "moments", 0, 0, 3)


def moments(scale: float) -> dict[str, np.ndarray]:
    genes = np.linspace(0, 5, 7)
    return {
        "n_cells": np.float64(100),
        "sum_log": genes * scale,
        "sum_log_squared": genes**2 * scale,
        "sum_cp10k": 100 * genes * scale,
        "sum_cp10k_squared": 1e6 * genes**2 * scale,
    }


def test_sums_of_packed_fields_are_sums_of_fields():
    sites = [moments(scale) for scale in (1.0, 0.3, 12.5)]
    packed = [pack("moments", site, 3) for site in sites]
    off = backend("off")
    uploads = {str(i): off.upload(vector, CONTEXT) for i, (vector, _) in enumerate(packed)}
    total = unpack("moments", off.open(uploads, {}, CONTEXT), packed[0][1], 3)
    for name in sites[0]:
        np.testing.assert_allclose(total[name], sum(site[name] for site in sites), rtol=1e-9)


@pytest.mark.parametrize("phase", [name for name, phase in PHASES.items() if phase.masked()])
def test_every_phase_packs_and_unpacks(phase):
    values = {
        name: np.arange(4, dtype=np.uint64) if field.ring else np.arange(4.0)
        for name, field in PHASES[phase].masked().items()
    }
    vector, shapes = pack(phase, values, 5)
    for name, value in unpack(phase, vector, shapes, 5).items():
        np.testing.assert_array_equal(value, values[name])


def test_a_missing_or_undeclared_field_is_refused():
    values = moments(1.0)
    del values["sum_log"]
    with pytest.raises(WireError, match="sum_log"):
        pack("moments", values, 3)
    with pytest.raises(WireError, match="donors"):
        pack("moments", {**moments(1.0), "donors": np.zeros(2)}, 3)


def test_ring_fields_must_be_ring_elements():
    with pytest.raises(WireError, match="thermometer must be uint64"):
        pack("peaks", {"thermometer": np.zeros(8), "n_batches": np.zeros(1)}, 3)


def test_a_vector_of_another_length_is_refused():
    vector, shapes = pack("moments", moments(1.0), 3)
    with pytest.raises(WireError, match="expected"):
        unpack("moments", vector[:-1], shapes, 3)


def test_uploads_of_different_lengths_are_refused():
    uploads = {"a": {"vector": np.zeros(3, np.uint64)}, "b": {"vector": np.zeros(4, np.uint64)}}
    with pytest.raises(SecureSumError, match="different lengths"):
        backend("off").open(uploads, {}, CONTEXT)


def test_an_unknown_backend_is_refused():
    with pytest.raises(SecureSumError, match="off"):
        backend("of")
