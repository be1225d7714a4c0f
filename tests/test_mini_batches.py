"""Which cells make which training step: order, reshuffling, and the last small batch."""

from dataclasses import replace

import numpy as np
import pytest

from common.models.build import build_model
from common.training import fit
from tests.expression import CPU, small_matrix, small_preset

ROWS = np.arange(3, 58)


def steps(*, reshuffle=True, batch_size=16, epochs=2, round_=1, seed=5, rows=ROWS):
    """The row numbers of every step, (n_epochs, n_steps, n_cells)."""
    preset = small_preset("fedscgen", batch_size=batch_size, local_epochs=epochs)
    matrix, seen = small_matrix(), []
    scaled = matrix.scaled

    def watched(batch):
        seen.append(batch.tolist())
        return scaled(batch)

    matrix.scaled = watched
    training = replace(preset.training, reshuffle=reshuffle)
    model = build_model(preset, matrix.shape[1], 0)
    fit(model, matrix, rows, training, round_=round_, seed=seed, device=CPU)
    return np.array(seen).reshape(epochs, -1, min(batch_size, len(rows)))


@pytest.mark.parametrize(("batch_size", "n_steps"), [(16, 3), (11, 5), (54, 1), (55, 1), (99, 1)])
def test_a_last_small_batch_is_dropped_unless_it_is_the_only_one(batch_size, n_steps):
    for epoch in steps(batch_size=batch_size):
        assert len(epoch) == n_steps
        assert len(set(epoch.ravel())) == epoch.size == n_steps * min(batch_size, 55)
        assert set(epoch.ravel()) <= set(ROWS)


def test_a_site_that_shuffles_once_keeps_its_mini_batches():
    first, second = steps(reshuffle=False)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, steps(reshuffle=False, round_=4)[0])
    assert (first != steps(reshuffle=False, seed=6)[0]).any()
    assert (first.ravel() != np.sort(first.ravel())).any()


def test_a_site_that_reshuffles_has_new_ones_every_epoch_and_round():
    first, second = steps()
    assert (first != second).any()
    assert (first != steps(round_=2)[0]).any()
    np.testing.assert_array_equal(np.stack([first, second]), steps())


def test_numpys_global_random_state_is_neither_used_nor_moved():
    np.random.seed(1)  # noqa: NPY002
    one = steps()
    after = np.random.random()  # noqa: NPY002
    np.random.seed(2)  # noqa: NPY002
    np.testing.assert_array_equal(one, steps())
    np.random.seed(1)  # noqa: NPY002
    assert np.random.random() == after  # noqa: NPY002
