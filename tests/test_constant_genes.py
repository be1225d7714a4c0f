"""A gene alike in every cell has no variance, although sums travel rounded to fixed point."""

import numpy as np
import pytest
from scipy import sparse

from common.data.hvg import highly_variable
from common.data.moments import GeneMoments, site_sums
from common.secure.fields import pack, unpack
from common.secure.ring import add


def moments_of(counts: np.ndarray, n_sites: int) -> GeneMoments:
    parts = np.array_split(counts, n_sites)
    sums = [site_sums([sparse.csr_matrix(part)], counts.shape[1]) for part in parts]
    packed = [pack("moments", site, n_sites) for site in sums]
    total = unpack("moments", add([vector for vector, _ in packed]), packed[0][1], n_sites)
    return GeneMoments(**{**total, "n_cells": round(float(total["n_cells"]))})


@pytest.mark.parametrize("n_sites", [1, 2, 7])
@pytest.mark.parametrize("n_cells", [14, 350])
def test_a_constant_gene_has_sd_one_and_is_never_chosen(n_sites, n_cells):
    rng = np.random.default_rng(2)
    counts = rng.poisson(4.0, (n_cells, 40)).astype(float)
    # Cells of one library size: genes 0 to 2 are then constant after normalisation too.
    counts[:, :3] = [1, 3, 700]
    counts[:, 39] = 2000 - counts[:, :39].sum(axis=1)
    moments = moments_of(counts, n_sites)
    _, sd = moments.log_mean_sd()
    log = np.log1p(counts * (1e4 / 2000))
    np.testing.assert_allclose(sd[3:], log[:, 3:].std(axis=0, ddof=1), atol=1e-6)
    assert not set(highly_variable(moments, 40)) & {0, 1, 2}
    assert sd[:3].tolist() == [1, 1, 1]
