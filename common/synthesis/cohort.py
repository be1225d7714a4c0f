"""Synthetic records as an .h5ad file, with what they protect in ``uns["privacy"]``."""

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import DiskError
from common.synthesis.schema import Schema


def write_cohort(
    path: Path,
    values: np.ndarray,
    classes: np.ndarray,
    schema: Schema,
    *,
    label: str,
    privacy: dict[str, Any],
) -> None:
    """Write a file, which appears whole.

    Parameters
    ----------
    values
        (n, n_genes); stored as float32.
    classes
        Index of each record's class, (n,).
    label
        Column of obs with the classes' names.
    privacy
        As of :func:`common.synthesis.statement.privacy_statement`.

    Raises
    ------
    DiskError
        It cannot be written.
    """
    import anndata
    import pandas as pd

    width = len(str(max(len(classes) - 1, 0)))
    names = [f"synthetic-{number:0{width}d}" for number in range(len(classes))]
    types = pd.Categorical.from_codes(classes, categories=list(schema.classes))
    cohort = anndata.AnnData(
        np.asarray(values, dtype=np.float32),
        obs=pd.DataFrame({label: types}, index=names),
        var=pd.DataFrame(index=list(schema.genes)),
        uns={"privacy": privacy},
    )
    partial = path.with_name(f".{path.stem}-{os.getpid()}.part.h5ad")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            cohort.write_h5ad(partial)
        partial.replace(path)
    except OSError as error:
        raise DiskError(path, error, "make room, or write to another folder") from None
    finally:
        partial.unlink(missing_ok=True)
