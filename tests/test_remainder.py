"""What the network does not encode: moments in parts, how far a mean moves, and what stays."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from client.phases import remainders
from client.site import Site
from common import remainder
from common.coding import decode_chunks, encode
from common.config import RunConfig
from common.models.build import build_model
from common.models.state import state_of
from common.node_config import NodeConfig
from common.panel import Panel
from common.policy import SitePolicy
from common.presets import resolve
from common.reference import Reference, Remainder, packed, unpacked
from common.remainder import adjustment, known_share, large_groups, remainder_moments
from strategies.records import Request, panel_parts, to_record
from tests.expression import CPU, small_matrix, small_preset
from tests.small_sites import TINY, site, write_sites

BATCHES = np.array(["a"] * 70 + ["b"] * 50)
TYPES = np.array((["T"] * 40 + ["B"] * 30) + (["T"] * 46 + [None] * 4), object)


@pytest.fixture(scope="module")
def cells():
    matrix = small_matrix(n_cells=120, n_genes=20)
    model = build_model(small_preset(), 20, 0)
    return matrix, model, encode(model, matrix, CPU)


def remainder_of(matrix, model, latent):
    with torch.no_grad():
        decoded = model.decode(torch.from_numpy(latent)).numpy()
    return matrix.log(slice(None)) - (decoded * matrix.scaling.sd + matrix.scaling.mean)


def residual_of(cells, references, moved, types=TYPES):
    matrix, model, latent = cells
    adjusted = adjustment(model, matrix, latent, moved, BATCHES, types, references, CPU)
    chunks = decode_chunks(model, matrix, latent, moved, "residual", CPU, adjusted)
    return np.concatenate(list(chunks))


def reference_of(rest, rows):
    return Remainder(rest[rows].mean(axis=0), rest[rows].var(axis=0))


def test_moments_in_parts_equal_numpy(cells, monkeypatch):
    monkeypatch.setattr(remainder, "CHUNK", 17)
    groups = [np.arange(3, 90), np.array([95]), np.array([100, 2, 119])]
    rest = remainder_of(*cells)
    found = remainder_moments(cells[1], cells[0], cells[2], groups, CPU)
    for rows, own in zip(groups, found, strict=True):
        np.testing.assert_allclose(own.mean, rest[rows].mean(axis=0), atol=1e-5)
        np.testing.assert_allclose(own.variance, rest[rows].var(axis=0), atol=1e-5)


def test_large_groups_are_those_of_enough_cells_of_the_types():
    groups = large_groups(BATCHES, TYPES, ["B", "T"], 31)
    assert [(place, len(rows)) for place, rows in groups] == [(1, 40), (1, 46)]
    assert len(large_groups(BATCHES, TYPES, ["B", "T"], 30)) == 3


def test_batches_that_are_their_own_reference_keep_their_expression(cells):
    matrix, _, latent = cells
    rows = np.flatnonzero((BATCHES == "a") & (TYPES == "T"))
    references = {"T": Reference(np.zeros(3), None, reference_of(remainder_of(*cells), rows))}
    residual = residual_of(cells, references, latent)
    np.testing.assert_allclose(residual[rows], matrix.log(rows), atol=1e-5)
    others = TYPES != "T"
    np.testing.assert_allclose(residual[others], matrix.log(others), atol=1e-6)
    # The other batch of the type has other means and spreads.
    assert np.abs(residual - matrix.log(slice(None)))[70:116].max() > 0.01


def test_a_batch_effect_that_the_network_does_not_encode_goes(cells):
    matrix, model, latent = cells
    rest = remainder_of(matrix, model, latent)
    own = np.flatnonzero((BATCHES == "b") & (TYPES == "T"))
    mean, variance = rest[own].mean(axis=0), rest[own].var(axis=0)
    mean[0] += 3.0
    variance[1] *= 4.0
    references = {"T": Reference(np.zeros(3), None, Remainder(mean, variance))}
    moved = residual_of(cells, references, latent)[own] - matrix.log(own)
    error = max(matrix.log(own)[:, 0].var(), rest[own, 0].var()) / len(own)
    np.testing.assert_allclose(moved[:, 0], 3 - 2 * error / 3, rtol=1e-4)
    # Beside a shift nothing moved but the second gene's spread, twice as wide but for the prior.
    np.testing.assert_allclose(moved[:, 2:], 0, atol=1e-5)
    scale = np.sqrt(4 * (len(own) + 25) / (len(own) + 4 * 25))
    expected = (scale - 1) * (rest[own, 1] - rest[own, 1].mean())
    np.testing.assert_allclose(moved[:, 1], expected, atol=1e-4)


def test_within_a_batch_and_type_correlations_of_the_remainder_stay(cells):
    matrix, model, latent = cells
    rest = remainder_of(matrix, model, latent)
    own = np.flatnonzero((BATCHES == "b") & (TYPES == "T"))
    reference = Remainder(rest.mean(axis=0) + 1, rest.var(axis=0) * np.linspace(0.2, 3, 20))
    moved = latent + np.float32(0.5)
    residual = residual_of(cells, {"T": Reference(np.zeros(3), None, reference)}, moved)
    after = residual[own] - (matrix.log(slice(None)) - remainder_of(matrix, model, moved))[own]
    before = np.corrcoef(rest[own], rowvar=False)
    np.testing.assert_allclose(np.corrcoef(after, rowvar=False), before, atol=1e-4)


def test_a_difference_within_its_error_does_not_move():
    share = known_share(np.array([0.0, 0.1, 0.2, 0.4, -4.0]), np.full(5, 0.01))
    np.testing.assert_allclose(share, [0, 0, 0.5, 0.875, 1 - 0.02 / 16], atol=1e-12)
    assert known_share(np.array([0.0, 1.0]), np.zeros(2)).tolist() == [0.0, 1.0]


def test_one_cell_hardly_moves(cells):
    types = TYPES.copy()
    types[70:116] = ["T"] + ["B"] * 45
    matrix, model, latent = cells
    rest = remainder_of(matrix, model, latent)
    reference = reference_of(rest, np.flatnonzero(types == "T"))
    references = {"T": Reference(np.zeros(3), None, reference)}
    residual = residual_of(cells, references, latent, types)
    far = np.abs(reference.mean - rest[70])
    moved = np.abs(residual[70] - matrix.log(np.array([70]))[0])
    assert (moved <= far + 1e-6).all()
    assert (moved[far < np.sqrt(reference.variance)] < 1e-5).all()


def test_a_cell_without_a_label_that_steers_moves_as_the_cells_it_is_shifted_with(cells):
    matrix, model, latent = cells
    rest = remainder_of(matrix, model, latent)
    own = np.flatnonzero((BATCHES == "b") & (TYPES == "T"))
    reference = Remainder(rest[own].mean(axis=0) + 3, rest[own].var(axis=0))
    given = (model, matrix, latent, latent, BATCHES, TYPES)
    references = {"T": Reference(np.zeros(3), None, reference)}
    shifted_as = TYPES.copy()
    shifted_as[116:118] = "T"
    left = adjustment(*given, references, CPU)
    moved = adjustment(*given, references, CPU, shifted_as=shifted_as)
    assert (left.group[116:] == -1).all()
    assert (moved.group[116:118] == moved.group[70]).all()
    assert (moved.group[118:] == -1).all()
    # It makes no moments.
    np.testing.assert_array_equal(moved.offset, left.offset)
    np.testing.assert_array_equal(moved.scale, left.scale)


def test_references_travel_with_and_without_remainders():
    moments = Remainder(np.arange(4.0), np.ones(4))
    references = {"T": Reference(np.zeros(2), np.eye(2), moments)}
    arrays = packed(references)
    assert {name: value.shape for name, value in arrays.items()} == {
        "mean": (1, 2),
        "covariance": (1, 3),
        "remainder_mean": (1, 4),
        "remainder_variance": (1, 4),
    }
    back = unpacked(["T"], arrays)["T"].remainder
    np.testing.assert_array_equal(back.mean, moments.mean)
    np.testing.assert_array_equal(back.variance, moments.variance)
    assert unpacked(["T"], packed({"T": Reference(np.zeros(2))}))["T"].remainder is None


def contributed(folder, cells, least):
    """Of A and B, by a site whose policy wants ``least`` cells, in a run that wants 20."""
    values = {key.replace("_", "-"): value for key, value in TINY.items()}
    config = RunConfig.parse(values, where="test")
    path = write_sites(folder / "data", [cells]) / "site-1.h5ad"
    node = {"data-path": str(path), "output-dir": str(folder / "out")}
    # Not from its file: a site refuses a run that wants fewer than its policy.
    policy = SitePolicy(**{"min-reference-cells": least})
    own = Site(config, NodeConfig.parse(node, where="test"), policy, simulated=False)
    genes = tuple(cells.var_names)
    names, scaling = panel_parts(Panel(genes, genes, np.full(60, 0.5), np.ones(60)))
    model = state_of(build_model(resolve(config), len(genes), 0))
    record = to_record(
        {"referenced": ["A", "B"], "panel": names}, {"panel": scaling, "model": model}
    )
    sums = {}
    remainders.run(own, Request(record), SimpleNamespace(masked=sums.__setitem__))
    return sums


def test_a_batch_below_the_sites_or_the_runs_bound_does_not_enter_its_sums(tmp_path):
    sizes = {("p", "A"): 30, ("p", "B"): 25, ("q", "A"): 22, ("q", "B"): 24, ("r", "B"): 40}
    cells = site({**sizes, ("s", "A"): 19})
    runs, stricter = (contributed(tmp_path / f"{least}", cells, least) for least in (1, 25))
    assert runs["n_large"].tolist() == [2, 3]
    assert stricter["n_large"].tolist() == [1, 2]
    without = cells[cells.obs["batch"] != "q"].copy()
    for name, sums in contributed(tmp_path / "without", without, 1).items():
        np.testing.assert_allclose(stricter[name], sums, atol=1e-5)
    assert (np.abs(runs["mean"] - stricter["mean"]).max(axis=1) > 0.1).all()
