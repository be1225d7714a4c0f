"""The synthetic cohort of a run and the real records beside it, as their scores take them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.data.genes import columns_of
from common.data.h5ad import H5ad
from common.data.obs import cell_types, column
from common.data.reader import SiteFile, gene_names
from common.data.units import BETWEEN
from common.errors import InputError
from common.settings import kebab
from common.synthesis.audit.closest import copies
from common.synthesis.records import Records

FILE = "synthetic.h5ad"
READ = ("cell_type_key", "layer", "gene_column", "covariate_keys")


@dataclass(frozen=True)
class Cohorts:
    """Records of one list of genes and classes, with values as the run saw them.

    Parameters
    ----------
    held_out
        Real records that the run did not see; None if none were given.
    counts
        Values are raw counts.
    left_out
        How many real records have no class of the run's.
    """

    genes: tuple[str, ...]
    classes: tuple[str, ...]
    unit: str
    counts: bool
    real: Records
    held_out: Records | None
    synthetic: Records
    left_out: int = 0

    @property
    def n_records(self) -> dict[str, int]:
        """How many there are of each kind."""
        kinds = {"synthetic": self.synthetic, "real": self.real, "held out": self.held_out}
        return {name: len(r.values) for name, r in kinds.items() if r is not None}


def read_cohorts(
    run_dir: Path,
    config: Mapping[str, Any],
    real: Sequence[Path],
    held_out: Sequence[Path],
) -> Cohorts:
    """Read ``synthetic.h5ad`` of a run folder and files of real records.

    Parameters
    ----------
    config
        The run's settings: columns, unit, and whether values are counts.

    Raises
    ------
    InputError
        A file or a column is missing, lacks a gene, or a held-out record or donor is in ``real``.
    """
    donors = config.get("privacy-unit") == "donor"
    made = synthetic_file(run_dir)
    key = str(config.get("cell-type-key", "cell_type"))
    names = cell_types(made.obs, key)
    genes = gene_names(made.var("X"), "", source="X")
    code = {name: at for at, name in enumerate(_classes(made, key))}
    values = made.matrix("X").take(np.arange(len(made.obs))).toarray().astype(np.float64)
    codes = np.array([code[name] for name in names], dtype=np.int64)
    kinds = {"synthetic": (values, codes, made.obs.index.to_numpy(dtype=object))}
    left_out = 0
    for kind, paths in (("real", real), ("held out", held_out)):
        parts = [_real(path, genes, code, config) for path in paths]
        left_out += sum(n for *_, n in parts)
        if parts:
            kinds[kind] = tuple(np.concatenate([p[i] for p in parts]) for i in range(3))
    if held_out:
        _require_apart(kinds["real"], kinds["held out"], donors)
    return Cohorts(
        tuple(genes),
        tuple(code),
        "donor" if donors else "record",
        config.get("expression") == "counts",
        *(
            _records(kinds[kind]) if kind in kinds else None
            for kind in ("real", "held out", "synthetic")
        ),
        left_out,
    )


def as_logs(cohorts: Cohorts, records: Records, most: int, seed: int) -> Records:
    """Records as figures take them: logarithms, and at random at most so many."""
    values, classes, units = records.values, records.classes, records.units
    if len(values) > most:
        rows = np.sort(np.random.default_rng(seed).choice(len(values), most, replace=False))
        values, classes, units = values[rows], classes[rows], units[rows]
    if cohorts.counts:
        size = values.sum(axis=1, keepdims=True)
        values = np.log1p(1e4 * values / np.where(size > 0, size, 1.0))
    return Records(values, classes, np.unique(units, return_inverse=True)[1].astype(np.int64))


def synthetic_file(run_dir: Path) -> H5ad:
    """``synthetic.h5ad`` of a run folder.

    Raises
    ------
    InputError
        There is none.
    """
    if not (run_dir / FILE).exists():
        raise InputError(
            f"{run_dir}: there is no {FILE}; give the folder of a finished run of task synthesize"
        )
    return H5ad.open(run_dir / FILE)


def _classes(made: H5ad, key: str) -> list[str]:
    """In the run's order, those without a record too."""
    stated = column(made.obs, key, setting="cell-type-key")
    known = stated.cat.categories if hasattr(stated, "cat") else sorted(set(stated))
    return [str(name) for name in known]


def _real(
    path: Path, genes: Sequence[str], code: Mapping[str, int], config: Mapping[str, Any]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Values, classes, units and how many records are left out, of a file."""
    given = {k: str(config[kebab(k)]) for k in READ if kebab(k) in config}
    donors = config.get("privacy-unit") == "donor"
    try:
        file = SiteFile.open(
            path,
            batch_key="",
            counted=config.get("expression") == "counts",
            donor_key=str(config.get("donor-key", "")) if donors else "",
            **given,
        )
    except InputError as error:
        raise error if str(path) in str(error) else InputError(f"{path}: {error}") from None
    codes = np.array([code.get(name, -1) for name in file.classes], dtype=np.int64)
    at = _columns(path, genes, file.genes)
    values = np.concatenate([block.toarray() for _, block in file.iter_counts(at)])
    known = codes >= 0
    if not known.any():
        raise _no_class(path, code, file.classes, given)
    own = np.array([f"{path}/{i}" for i in range(len(codes))], dtype=object)
    units = own if file.donors is None else file.donors.astype(object)
    return values[known].astype(np.float64), codes[known], units[known], int((~known).sum())


def _no_class(
    path: Path, code: Mapping[str, int], of_file: np.ndarray, given: Mapping[str, str]
) -> InputError:
    key, covariates = given["cell_type_key"], given.get("covariate_keys", "")
    ours = f"the run's are {', '.join(list(code)[:8])}"
    if not covariates and all(BETWEEN in name for name in code):
        # The sites of a run name these columns, each for itself.
        return InputError(
            f"{path}: no record has a class of the run's in obs[{key!r}]; {ours}: a label and "
            "covariates, whose columns of obs to name with --covariate-keys, as 'sex,stage'"
        )
    also = f" with covariate-keys = {covariates!r}" if covariates else ""
    theirs = ", ".join(sorted({str(name) for name in of_file if name is not None})[:8]) or "none"
    return InputError(
        f"{path}: no record has a class of the run's in obs[{key!r}]{also}; {ours}, the file's "
        f"{theirs}: give a file that has, or name the columns that the run had"
    )


def _columns(path: Path, genes: Sequence[str], of_file: Sequence[str]) -> np.ndarray:
    at = columns_of(genes, of_file)
    if (at < 0).any():
        first = genes[int((at < 0).argmax())]
        raise InputError(
            f"{path} lacks {int((at < 0).sum())} of the run's {len(genes)} genes (the first is "
            f"{first!r}): give a file with all of them"
        )
    return at


Kind = tuple[np.ndarray, np.ndarray, np.ndarray]


def _require_apart(real: Kind, held_out: Kind, donors: bool) -> None:
    if donors and (both := set(real[2].tolist()) & set(held_out[2].tolist())):
        raise InputError(
            f"{len(both)} donor(s) are in the real and in the held-out files (the first is "
            f"{min(both)!r}): hold whole donors out"
        )
    if (same := copies(held_out[0], real[0])) > len(held_out[0]) / 2:
        raise InputError(
            f"{same:,} of {len(held_out[0]):,} held-out records are among the real ones: give "
            "records that the run did not see"
        )


def _records(kind: Kind) -> Records:
    values, classes, names = kind
    return Records(values, classes, np.unique(names, return_inverse=True)[1].astype(np.int64))
