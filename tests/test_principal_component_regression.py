"""Principal component regression against least squares per component, and scib-metrics."""

import numpy as np
import pytest

from common.metrics.embedded import Embedded
from tests.embedded_cells import overlapping, planted, score

NAME = "principal_component_regression"


@pytest.fixture(scope="module")
def cells():
    return overlapping()


def explained_by_definition(x, batch):
    """The sum over components of variance times R² of a least-squares fit on batch indicators."""
    u, s, _ = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    components = u * s
    indicators = (batch[:, None] == np.unique(batch)).astype(float)
    fitted = indicators @ np.linalg.lstsq(indicators, components, rcond=None)[0]
    residual = ((components - fitted) ** 2).sum(axis=0)
    r_squared = 1 - residual / (components**2).sum(axis=0)
    variance = components.var(axis=0)
    return (variance * r_squared).sum() / variance.sum()


def test_equals_least_squares_per_component(cells):
    result = score(NAME, cells)
    expected = explained_by_definition(cells.x, cells.batch)
    assert result.value == pytest.approx(1 - expected)
    assert 0.02 < expected < 0.9
    by_type = {}
    for name in ("B", "NK", "T"):
        own = cells.cell_type == name
        by_type[name] = 1 - explained_by_definition(cells.x[own], cells.batch[own])
    assert result.per_type == pytest.approx(by_type | {"DC": None})


def test_equals_scib_metrics(cells):
    from scib_metrics.utils import principal_component_regression

    x = cells.x.astype(np.float32)
    expected = principal_component_regression(x, cells.batch, categorical=True)
    assert score(NAME, cells).value == pytest.approx(1 - expected, abs=1e-5)


def test_neither_rotation_nor_an_offset_matters(cells):
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))[0]
    turned = Embedded(cells.x @ rotation + 1e3, cells.batch, cells.cell_type)
    assert score(NAME, turned).value == pytest.approx(score(NAME, cells).value)


def test_planted_batches():
    assert score(NAME, planted(batch_shift=0, type_shift=30)).value > 0.99
    assert score(NAME, planted(batch_shift=60, type_shift=0)).value < 0.01


def test_a_halved_shift_scores_between(cells):
    shifts = [score(NAME, planted(batch_shift=s, type_shift=0)).value for s in (0, 1, 2, 4)]
    assert shifts == sorted(shifts, reverse=True)


def test_no_more_cells_than_batches(cells):
    alone = Embedded(cells.x, np.arange(240).astype(str), cells.cell_type)
    assert "one cell only" in score(NAME, alone).reason
    cell_type = np.full(240, "A", dtype=object)
    cell_type[:2], batch = "pair", np.tile(["x", "y"], 120)
    result = score(NAME, Embedded(cells.x, batch, cell_type))
    assert result.per_type["pair"] is None
    assert result.value is not None


def test_a_type_on_one_point_has_no_share(cells):
    x = cells.x.copy()
    x[cells.cell_type == "B"] = 0.3
    assert score(NAME, Embedded(x, cells.batch, cells.cell_type)).per_type["B"] is None
