"""What a site keeps for trees between messages: work is done once, and no answer changes by it."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from client.boosting_cells import boosting_site
from client.labelled_cells import LabelledCells
from common.boosting.bins import BinEdges
from common.boosting.forest import Forest
from common.boosting.forest_state import forest_of
from common.classification.published import PublishedClassifier
from tests.classified import classify, labelled_sites
from tests.small_sites import site, write_sites
from tests.test_site import CELLS, PANEL, real

SETTINGS = {"classifier": "xgboost", "rounds": 4}


@pytest.fixture
def binned(monkeypatch):
    """Cells of each call that bins some."""
    calls, own = [], BinEdges.bin_cells

    def counting(self, expression):
        calls.append(expression.shape[0])
        return own(self, expression)

    monkeypatch.setattr(BinEdges, "bin_cells", counting)
    return calls


@pytest.fixture
def added(monkeypatch):
    """Trees of each call that adds some to margins."""
    calls, own = [], Forest.add_to

    def counting(self, margins, codes, cuts):
        # Validation cells are scored on their expression, which is no code.
        if codes.dtype == np.uint8:
            calls.append(self.n_trees)
        return own(self, margins, codes, cuts)

    monkeypatch.setattr(Forest, "add_to", counting)
    return calls


def trees(out):
    forest = forest_of(PublishedClassifier.load(out / "bundle").trained.state)
    return [getattr(forest, key) for key in ("gene", "threshold", "value", "tree_class")]


def full(*_, **__):
    raise OSError(28, "No space left on device")


def test_cells_are_binned_once_and_every_tree_is_added_once(tmp_path, binned, added, monkeypatch):
    data = write_sites(tmp_path / "data", labelled_sites())
    classify(tmp_path / "out", data, 3, **SETTINGS)
    assert len(binned) == 3
    # Three rounds are finished before the last grows; each site adds each of their trees once.
    assert added == [3] * 9
    # A disk without room costs the work again and changes nothing.
    monkeypatch.setattr(np, "savez", full)
    monkeypatch.setattr(sp, "save_npz", full)
    classify(tmp_path / "full", data, 3, **SETTINGS)
    assert len(binned) > 6
    for ours, theirs in zip(trees(tmp_path / "out"), trees(tmp_path / "full"), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_what_is_kept_is_of_one_run_and_of_these_cells(tmp_path):
    path = write_sites(tmp_path / "data", [site(CELLS)]) / "site-1.h5ad"
    cells = LabelledCells(np.arange(65) % 3, 3, np.arange(60), np.arange(60, 65), np.arange(0))
    expression = real(path, tmp_path).matrix(PANEL).sparse
    edges = BinEdges.alike(len(PANEL.genes), 8)
    forest = Forest.empty(np.zeros(3, dtype=np.float32), len(PANEL.genes), 2)

    def kept(cells, edges):
        own = real(path, tmp_path)
        with boosting_site(own, PANEL, cells, edges, expression) as boosting:
            known = boosting.known
            boosting.known = grown, np.full((3, len(cells.train)), 0.5)
        return known, sorted(p.name for p in own.cache_dir.glob("*boosting*"))

    grown = replace(forest, round_starts=np.array([0, 0]))
    assert grown.n_rounds == 1
    known, first = kept(cells, edges)
    assert known is None
    (again, margins), files = kept(cells, edges)
    assert again.n_rounds == 1
    assert (margins == 0.5).all()
    assert files == first
    assert len(first) == 2
    # A damaged file is made anew.
    for name in first:
        (real(path, tmp_path).cache_dir / name).write_bytes(b"PK damaged")
        assert kept(cells, edges) == (None, first)
        assert kept(cells, edges)[0] is not None
    for other in (
        (replace(cells, train=np.arange(59)), edges),
        (replace(cells, codes=cells.codes[::-1]), edges),
        (cells, BinEdges.alike(len(PANEL.genes), 9)),
    ):
        known, files = kept(*other)
        assert known is None
        assert len(files) == 2
        assert not set(files) & set(first)
