"""The shift to reference means, and its two outputs, against plain numpy."""

import numpy as np
import pytest
import torch

from common.alignment import aligning_map
from common.coding import decode_chunks, encode
from common.correction import correct_latent, group_rows, largest_batches
from common.models.build import build_model
from common.reference import Reference
from tests.expression import CPU, small_matrix, small_preset

BATCHES = np.array(["a"] * 30 + ["b"] * 20 + ["c"] * 3)
TYPES = np.array((["T"] * 20 + ["B"] * 10) + (["T"] * 10 + ["B"] * 9 + [None]) + ["T"] * 3, object)
REFERENCES = {"T": Reference(np.array([1.0, -2.0])), "NK": Reference(np.array([9.0, 9.0]))}
TARGET = REFERENCES["T"].mean


@pytest.fixture
def latent() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(53, 2)).astype(np.float32)


def test_shift_against_a_loop(latent):
    before = latent.copy()
    corrected, shifted = correct_latent(latent, BATCHES, TYPES, REFERENCES)
    np.testing.assert_array_equal(latent, before)
    assert corrected.dtype == np.float32
    for cell in range(53):
        if TYPES[cell] != "T":
            np.testing.assert_array_equal(corrected[cell], latent[cell])
            assert not shifted[cell]
            continue
        own = latent[(BATCHES[cell] == BATCHES) & (TYPES == "T")]
        weight = min(1.0, len(own) / 5)
        expected = latent[cell] + weight * (TARGET - own.mean(axis=0))
        np.testing.assert_allclose(corrected[cell], expected, atol=1e-5)
        assert shifted[cell]


def test_full_batches_reach_the_reference_and_tiny_ones_part_of_the_way(latent):
    corrected, _ = correct_latent(latent, BATCHES, TYPES, REFERENCES)
    for batch, share in (("a", 1.0), ("b", 1.0), ("c", 3 / 5)):
        rows = (batch == BATCHES) & (TYPES == "T")
        before, after = latent[rows].mean(axis=0), corrected[rows].mean(axis=0)
        np.testing.assert_allclose(after - before, share * (TARGET - before), atol=1e-5)


def test_a_cell_without_a_steering_label_is_shifted_by_what_the_others_made(latent):
    """Its own place enters nothing: wherever it lies, all other cells go where they went."""
    shifted_as = TYPES.copy()
    shifted_as[49] = "T"
    rng = np.random.default_rng(3)
    spread = np.cov(rng.normal(size=(2, 40)))
    for reference in (Reference(TARGET), Reference(TARGET, spread)):
        references = {"T": reference}
        plain, _ = correct_latent(latent, BATCHES, TYPES, references)
        for place in (latent[49], np.float32([40, -70])):
            moved = latent.copy()
            moved[49] = place
            corrected, shifted = correct_latent(moved, BATCHES, TYPES, references, shifted_as)
            others = (np.delete(z, 49, axis=0) for z in (corrected, plain))
            np.testing.assert_allclose(*others, rtol=1e-6)
            own = latent[(BATCHES == "b") & (TYPES == "T")]
            a = np.eye(2) if reference.covariance is None else aligning_map(own, spread)
            expected = TARGET + a @ (place - own.mean(axis=0))
            np.testing.assert_allclose(corrected[49], expected, rtol=1e-4, atol=1e-4)
            assert shifted[49]
            assert shifted.sum() == (TYPES == "T").sum() + 1


def test_one_cell_alone_does_not_become_the_reference(latent):
    types = np.array(["T"] + ["B"] * 52, dtype=object)
    corrected, _ = correct_latent(latent, np.array(["a"] * 53), types, REFERENCES)
    assert np.abs(corrected[0] - TARGET).max() > 0.1


def test_largest_batches_keeps_ties_and_counts_batches():
    batches = np.array(["a"] * 4 + ["b"] * 4 + ["c"] * 2)
    types = np.array(["T"] * 4 + ["T"] * 4 + ["T", None], dtype=object)
    largest, n_batches = largest_batches(batches, types)
    assert [batch.n_cells for batch in largest["T"]] == [4, 4]
    assert [batch.rows.tolist() for batch in largest["T"]] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert n_batches == {"T": 3}


def test_groups_leave_unlabelled_cells_out():
    groups = group_rows(BATCHES, TYPES)
    assert set(groups) == {("a", "B"), ("a", "T"), ("b", "B"), ("b", "T"), ("c", "T")}
    assert sum(len(rows) for rows in groups.values()) == 52


def test_outputs_against_direct_computation(monkeypatch):
    monkeypatch.setattr("common.coding.CHUNK", 17)
    matrix = small_matrix(n_cells=60, n_genes=20)
    model = build_model(small_preset(), 20, 0)
    latent = encode(model, matrix, CPU)
    x = matrix.scaled(slice(None))
    with torch.no_grad():
        np.testing.assert_allclose(latent, model.encode(x)[0].numpy(), atol=1e-6)
    moved = latent + np.float32(0.7)
    mean, sd = matrix.scaling.mean, matrix.scaling.sd
    with torch.no_grad():
        after, before = (model.decode(torch.from_numpy(z)).numpy() for z in (moved, latent))
    expected = {
        "decoded": after * sd + mean,
        "residual": matrix.log(slice(None)) + (after - before) * sd,
    }
    for output, values in expected.items():
        chunks = list(decode_chunks(model, matrix, latent, moved, output, CPU))
        assert len(chunks) == 4
        np.testing.assert_allclose(np.concatenate(chunks), values, atol=1e-5)
    unmoved = list(decode_chunks(model, matrix, latent, latent, "residual", CPU))
    np.testing.assert_array_equal(np.concatenate(unmoved), matrix.log(slice(None)))
