"""The decoder's linear path, refitted in closed form on all sites' cells by sums alone.

Local steps let each site's network drift: what is constant at a site, its batch effect, moves from
the latents into biases, and averaging keeps neither whole. Given encoder and nonlinear decoder g,
the linear path (B, c) that minimises the pooled sum of |x - g(z) - B z - c|^2 follows from normal
equations, which are sums over cells: with a = (z, 1), solve (sum a a^T) (B, c)^T = sum a (x - g)^T.
The result equals the pooled least-squares fit.
"""

import numpy as np
import torch

from common.coding import CHUNK
from common.data.matrix import ExpressionMatrix
from common.device import memory_guard
from common.models.linear_vae import LinearVAE

RIDGE = 1e-6


@torch.no_grad()
def site_normal_equations(
    model: LinearVAE,
    matrix: ExpressionMatrix,
    latent: np.ndarray,
    n_cells: int,
    device: torch.device,
) -> dict[str, np.ndarray]:
    """One site's contribution, float64.

    Parameters
    ----------
    latent
        Posterior means of the site's cells, (n_cells_of_site, latent_dim).
    n_cells
        Cells of all sites: every sum is divided by it, so that its size does not depend on them.

    Returns
    -------
    sums
        ``latent_products`` (latent_dim + 1, latent_dim + 1), of a a^T; ``latent_residual``
        (latent_dim + 1, n_genes), of a (x - g(z))^T.
    """
    model.to(device).eval()
    n_columns = model.shape.latent_dim + 1
    products = torch.zeros(n_columns, n_columns, dtype=torch.float64)
    cross = torch.zeros(n_columns, matrix.shape[1], dtype=torch.float64)
    with memory_guard(device, CHUNK):
        for rows in matrix.chunks(CHUNK):
            x_BG = matrix.scaled(rows).to(device)
            z_BD = torch.from_numpy(latent[rows]).to(device)
            a_BD = torch.cat([z_BD, torch.ones_like(z_BD[:, :1])], dim=1).double()
            products += (a_BD.T @ a_BD).cpu()
            cross += (a_BD.T @ (x_BG - model.nonlinear_decode(z_BD)).double()).cpu()
    return {
        "latent_products": products.numpy() / n_cells,
        "latent_residual": cross.numpy() / n_cells,
    }


def solve(products: np.ndarray, cross: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The linear path from the summed normal equations.

    Parameters
    ----------
    products, cross
        Sums over sites of :func:`site_normal_equations`.

    Returns
    -------
    weight
        B, (n_genes, latent_dim).
    bias
        c, (n_genes,).
    """
    # The ridge settles latent dimensions that are constant; it is far below what cells decide.
    ridge = RIDGE * np.trace(products) / len(products) * np.eye(len(products))
    solution = np.linalg.solve(products + ridge, cross)
    return solution[:-1].T, solution[-1]
