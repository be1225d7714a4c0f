"""The cohorts as they are scored: values, classes, folds, sites and public bounds."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import anndata
import numpy as np

from common.synthesis.records import Records
from common.synthesis.schema import Schema

BRCA, TB = "bulk_tcga_brca_camda", "bulk_tb_7cohort_lm"
# Whose ranking of genes is public knowledge to the first.
OTHER = {BRCA: TB, TB: BRCA}
# Neither is of the data: variance-stabilised values of counts are below log2 of the largest count;
# log2(CPM + 1) of at most 10^6.
BOUNDS = {BRCA: (0.0, 24.0), TB: (0.0, 20.0)}
N_FOLDS = 5


def _same(values: np.ndarray) -> np.ndarray:
    return values


@dataclass(frozen=True)
class Fold:
    """What a generator sees, and the real records that score it.

    Parameters
    ----------
    train, test
        Of the schema's genes, as a generator takes them.
    sites
        Of the training records: the site that has each.
    scored
        Values as classifiers and distances take them.
    like, like_test
        The training and test records that synthetic ones are held to be like, so made ready.
    samples
        Records to make of each class; None: as many as the noisy counts say.
    """

    schema: Schema
    train: Records
    test: Records
    sites: np.ndarray
    like: np.ndarray
    like_test: np.ndarray
    scored: Callable[[np.ndarray], np.ndarray] = _same
    samples: int | None = None

    @property
    def commonest(self) -> float:
        """Accuracy of guessing the training records' commonest class."""
        return float((self.test.classes == np.bincount(self.train.classes).argmax()).mean())


def folds(folder: Path, name: str) -> Iterator[Fold]:
    """Folds of a data set: the challenge's own of BRCA, stratified ones of TB's first visits."""
    data, values, codes, schema = _read(folder, name)
    if name == TB:
        from sklearn.model_selection import StratifiedKFold

        fold = np.empty(len(codes), dtype=np.int64)
        parts = StratifiedKFold(N_FOLDS, shuffle=True, random_state=0).split(values, codes)
        for number, (_, held_out) in enumerate(parts):
            fold[held_out] = number
        sites = data.obs["batch"]
    else:
        fold, sites = data.obs["cv_fold"].astype(str).to_numpy(), data.obs["site8"]
    for number in np.unique(fold):
        yield _fold(schema, values, codes, sites.astype(str).to_numpy(), fold != number)


def left_out(folder: Path, name: str) -> Iterator[tuple[str, Fold]]:
    """Each cohort of a data set as the test records of all others."""
    data, values, codes, schema = _read(folder, name)
    cohort = data.obs["batch"].astype(str).to_numpy()
    for one in np.unique(cohort):
        yield one, _fold(schema, values, codes, cohort, cohort != one)


def ranked(values: np.ndarray, genes: Sequence[str], most: int) -> list[str]:
    """The genes whose values vary most, (n_records, n_genes): first the largest variance."""
    order = np.argsort(-values.var(axis=0), kind="stable")
    return [genes[j] for j in order[:most]]


def ranked_elsewhere(folder: Path, name: str, most: int) -> list[str]:
    """Genes of a data set that vary most in the *other* one: nothing of its own records is used.

    TB's is blood and another disease than BRCA's: only what is generally known of genes' spread.
    """
    _, _, _, schema = _read(folder, name)
    _, values, _, other = _read(folder, OTHER[name])
    shared = np.isin(other.genes, schema.genes)
    return ranked(values[:, shared], np.array(other.genes)[shared].tolist(), most)


def _read(folder: Path, name: str) -> tuple[anndata.AnnData, np.ndarray, np.ndarray, Schema]:
    data = anndata.read_h5ad(folder / f"{name}.h5ad")
    if name == TB:
        data = data[data.obs["baseline"].to_numpy(dtype=bool)]
    values = data.X.toarray() if hasattr(data.X, "toarray") else np.asarray(data.X)
    values = values.astype(np.float64)
    classes, codes = np.unique(data.obs["label"].astype(str), return_inverse=True)
    if name == TB:
        values = np.log2(1 + 1e6 * values / values.sum(axis=1, keepdims=True))
    return data, values, codes, Schema(tuple(data.var_names), tuple(classes), *BOUNDS[name])


def _fold(
    schema: Schema, values: np.ndarray, codes: np.ndarray, sites: np.ndarray, train: np.ndarray
) -> Fold:
    parts = [Records(values[r], codes[r], np.arange(r.sum())) for r in (train, ~train)]
    return Fold(schema, *parts, sites[train], *(part.values for part in parts))
