"""The workflow's gene choice, by the sites' own phase and the ring, equals scanpy's."""

from types import SimpleNamespace

import anndata
import numpy as np
import pytest
import scanpy as sc
from scipy import sparse

from client.outbox import Outbox
from client.phases import moments as moments_phase
from common.config import RunConfig
from common.data.genes import columns_of
from common.data.matrix import ExpressionMatrix
from common.data.normalise import library_sizes, log1p_cp10k
from common.secure.fields import unpack
from common.secure.off import OffSite
from common.secure.ring import add
from server.checkpoint import Checkpoint
from server.workflows.correct import Correct
from strategies.describe import SiteDescription
from strategies.records import Request
from strategies.secure_sum import Summed

N_GENES, N_TOP, SILENT = 300, 90, 20
NAMES = np.array([f"G{i:03}" for i in range(N_GENES)])
SIZES = {1: [420], 2: [37, 383], 7: [1, 3, 20, 44, 90, 110, 152]}


def counts_of_all() -> np.ndarray:
    rng = np.random.default_rng(11)
    rate = rng.gamma(0.5, 2.0, N_GENES) * rng.lognormal(0, 0.7, (420, 1))
    # Of some genes a few cells hold nearly all: scaled, they pass the clip at 10.
    drawn = rng.poisson(rate * rng.gamma(1.2, 1 / 1.2, (420, N_GENES)))
    drawn[:, 30:60] *= rng.random((420, 30)) < 0.006
    drawn[:, SILENT] = 0
    # An empty cell; normalisation must leave it at zero.
    drawn[5] = 0
    return drawn.astype(np.float32)


COUNTS = counts_of_all()


class Sites:
    """A federation of sites that order their genes each in its own way."""

    def __init__(self, sizes: list[int], log):
        self.parts = np.split(COUNTS, np.cumsum(sizes)[:-1])
        rng = np.random.default_rng(len(sizes))
        self.orders = [rng.permutation(N_GENES) for _ in sizes]
        self.log = log

    def describe(self) -> list[SiteDescription]:
        return [
            SiteDescription(i, f"site-{i}", list(NAMES[order]), "symbol", ["A", "B"], {})
            for i, order in enumerate(self.orders)
        ]

    def run_with_reply(self, strategy, round_) -> tuple[Summed, None]:
        """The first trip of a secure sum, without Flower's messages."""
        request = strategy.request(0, list(range(len(self.parts))))
        request = Request(request)
        context, off = request.context(""), OffSite()
        vectors = []
        for i, (part, order) in enumerate(zip(self.parts, self.orders, strict=True)):
            own = sparse.csr_matrix(part[:, order])
            site = SimpleNamespace(
                counts=lambda v, own=own, i=order: own[:, columns_of(v, NAMES[i])],
                file=SimpleNamespace(genes=list(NAMES[order])),
                config=RunConfig(),
            )
            outbox = Outbox("moments", self.log)
            moments_phase.run(site, request, outbox)
            values, arrays = outbox.seal(off, context)
            vectors.append(arrays["upload"]["vector"])
        total = add(vectors)
        shapes = {name: tuple(shape) for name, shape in values["shapes"].items()}
        n_sites = len(self.parts)
        return Summed(unpack("moments", total, shapes, n_sites), n_sites), None


@pytest.fixture(scope="module")
def pooled() -> anndata.AnnData:
    data = anndata.AnnData(COUNTS.astype(np.float64))
    data.var_names = NAMES
    with pytest.warns(UserWarning, match="zero counts"):
        sc.pp.normalize_total(data, target_sum=1e4)
    sc.pp.log1p(data)
    sc.pp.highly_variable_genes(data, flavor="seurat", n_top_genes=N_TOP)
    return data


@pytest.mark.parametrize("n_sites", [1, 2, 7])
def test_panel_and_scaled_cells_equal_scanpys(tmp_path, pooled, n_sites):
    sites, notes = Sites(SIZES[n_sites], tmp_path / "outbox.jsonl"), {}
    folder = SimpleNamespace(note=notes.update, checkpoint=Checkpoint(tmp_path))
    config = RunConfig.parse({"n-top-genes": N_TOP, "secure-sum": "off"}, where="test")
    panel, n_cells = Correct(sites, config, folder, "run").choose_genes(sites.describe())

    chosen = pooled[:, pooled.var["highly_variable"]].copy()
    assert (n_cells, notes["n_cells"], notes["n_genes"]) == (420, 420, N_TOP)
    assert panel.vocabulary == tuple(NAMES)
    assert panel.genes == tuple(chosen.var_names)
    assert NAMES[SILENT] not in panel.genes
    log = chosen.X.copy()
    np.testing.assert_allclose(panel.mean, log.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(panel.sd, log.std(axis=0, ddof=1), atol=1e-6)

    sc.pp.scale(chosen, max_value=10)
    assert (chosen.X == 10).sum() > 5
    columns = columns_of(panel.genes, panel.vocabulary)
    counts = sparse.csr_matrix(COUNTS)
    matrix = ExpressionMatrix(
        log1p_cp10k(counts[:, columns], library_sizes(counts)), panel.scaling()
    )
    for rows in (np.array([5, 0, 419, 77]), slice(100, 164)):
        np.testing.assert_allclose(matrix.scaled(rows).numpy(), chosen.X[rows], atol=5e-5)
