"""Rank-value encoding: a cell as the sequence of its genes, the most above their usual level first.

References
----------
Theodoris et al. 2023 (Geneformer), doi:10.1038/s41586-023-06139-9, "Rank value encoding".
"""

import numpy as np
import torch


def typical_expression(mean: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """A gene's usual level in the cells that express it, in CP10k, float32 (n_genes,).

    Geneformer divides by the median of the non-zero values. No sum over sites gives a median; the
    sum of squares over the sum does leave the zeros out, as the median does, and both are known:
    the mean of the non-zero log1p values, each weighted by itself.

    Parameters
    ----------
    mean, sd
        Pooled moments of log1p CP10k, (n_genes,). A gene that no cell expresses has 1.
    """
    mean, sd = np.asarray(mean, dtype=np.float64), np.asarray(sd, dtype=np.float64)
    expressed = mean > 0
    log = np.divide(sd**2 + mean**2, mean, out=np.full(mean.shape, np.log(2)), where=expressed)
    return np.expm1(log).astype(np.float32)


def rank_genes(
    log_BG: torch.Tensor, typical_G: torch.Tensor, max_tokens: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The genes of each cell by expression over their typical one, the greatest first.

    Ties keep the order of genes. A gene without expression is no token, nor is one without a
    typical expression.

    Parameters
    ----------
    log_BG
        log1p CP10k, (n_cells, n_genes).
    typical_G
        CP10k, (n_genes,); 0 where there is none.
    max_tokens
        Genes of a cell beyond are left out, the last first.

    Returns
    -------
    genes
        Positions among the genes, int64 (n_cells, n_tokens), n_tokens being that of the cell with
        the most; anything where there is padding.
    is_token
        Whether it is a token or padding, bool (n_cells, n_tokens).
    """
    expressed_BG = (log_BG > 0) & (typical_G > 0)
    ratio_BG = (log_BG.expm1() / typical_G).masked_fill(~expressed_BG, -torch.inf)
    n_tokens_B = expressed_BG.sum(dim=1).clamp_max(max_tokens)
    n_tokens = int(n_tokens_B.max()) if len(n_tokens_B) else 0
    genes_BS = ratio_BG.sort(dim=1, descending=True, stable=True).indices[:, :n_tokens]
    steps_S = torch.arange(n_tokens, device=log_BG.device)
    return genes_BS, steps_S < n_tokens_B[:, None]
