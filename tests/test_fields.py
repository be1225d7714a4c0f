"""A phase's masked fields as one ring vector, and back."""

import numpy as np
import pytest

from common.errors import WireError
from common.secure.fields import pack, unpack
from common.secure.ring import add
from common.wire import PHASES


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
    total = unpack("moments", add([vector for vector, _ in packed]), packed[0][1], 3)
    for name in sites[0]:
        np.testing.assert_allclose(total[name], sum(site[name] for site in sites), rtol=1e-9)


@pytest.mark.parametrize("phase", [name for name, phase in PHASES.items() if phase.masked()])
@pytest.mark.parametrize("shape", [(), (4,), (2, 3)])
def test_every_phase_packs_and_unpacks(phase, shape):
    rng, fields = np.random.default_rng(0), PHASES[phase].masked()
    values = {
        name: rng.integers(2**64, size=shape, dtype=np.uint64)
        if field.ring
        else rng.integers(-999, 999, shape)
        if field.integer
        else rng.uniform(-field.bound, field.bound, shape)
        for name, field in fields.items()
    }
    vector, shapes = pack(phase, values, 5)
    again = unpack(phase, vector, shapes, 5)
    assert list(again) == list(fields)
    for name, field in fields.items():
        assert again[name].shape == shape
        if field.ring or field.integer:
            np.testing.assert_array_equal(again[name], values[name])
        else:
            half_a_step = 2.0 ** -(field.fixed_point(5).fraction_bits + 1)
            np.testing.assert_allclose(again[name], values[name], rtol=1e-15, atol=half_a_step)


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
    # One count, two narrow and two wide fields of 7 genes.
    assert len(vector) == 1 + 7 + 7 + 14 + 14
    for other in (vector[:-1], np.append(vector, vector[:1])):
        with pytest.raises(WireError, match=rf"{len(other)} words, expected 43"):
            unpack("moments", other, shapes, 3)
    with pytest.raises(WireError, match="43 words, expected 44"):
        unpack("moments", vector, {**shapes, "sum_log": (8,)}, 3)
