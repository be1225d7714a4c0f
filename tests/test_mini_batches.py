"""Which cells make which training step: order, reshuffling, and batches of even size."""

from dataclasses import replace

import numpy as np
import pytest

from common.gradient import cells_of_step
from common.mini_batches import seed_at
from common.models.build import build_model
from common.training import fit
from tests.expression import CPU, small_matrix, small_preset

ROWS = np.arange(3, 58)


def steps(*, reshuffle=True, batch_size=16, epochs=2, round_=1, seed=5, rows=ROWS):
    """The row numbers of every step: for each epoch a list of arrays."""
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
    n_steps = len(seen) // epochs
    return [seen[i : i + n_steps] for i in range(0, len(seen), n_steps)]


@pytest.mark.parametrize(
    ("batch_size", "sizes"),
    [
        (16, [14, 14, 14, 13]),
        (11, [11] * 5),
        (54, [28, 27]),
        (55, [55]),
        (99, [55]),
        (2, [3] + [2] * 26),
    ],
)
def test_every_cell_is_in_one_step_of_an_epoch(batch_size, sizes):
    for epoch in steps(batch_size=batch_size):
        assert [len(step) for step in epoch] == sizes
        assert sorted(cell for step in epoch for cell in step) == ROWS.tolist()


def test_a_site_that_shuffles_once_keeps_its_mini_batches():
    first, second = steps(reshuffle=False)
    assert first == second == steps(reshuffle=False, round_=4)[0]
    assert first != steps(reshuffle=False, seed=6)[0]
    assert [cell for step in first for cell in step] != ROWS.tolist()


def test_a_site_that_reshuffles_has_new_ones_every_epoch_and_round():
    first, second = steps()
    assert first != second
    assert first != steps(round_=2)[0]
    assert [first, second] == steps()


def test_numpys_global_random_state_is_neither_used_nor_moved():
    np.random.seed(1)  # noqa: NPY002
    one = steps()
    after = np.random.random()  # noqa: NPY002
    np.random.seed(2)  # noqa: NPY002
    assert one == steps()
    np.random.seed(1)  # noqa: NPY002
    assert np.random.random() == after  # noqa: NPY002


def test_every_site_draws_by_a_seed_of_its_own():
    drawn = {(site, seed): seed_at(site, seed) for site in "abc" for seed in (42, 43)}
    assert len(set(drawn.values())) == 6
    assert seed_at("a", 42) == drawn["a", 42]
    rows, training = np.arange(500), small_preset("default", batch_size=200).training
    places = [
        cells_of_step(rows, training, 1000, round_=3, seed=seed_at(site, 42)) for site in "ab"
    ]
    assert len(places[0]) == 100
    assert not np.array_equal(*places)
