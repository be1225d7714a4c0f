"""The synthetic cohort of a run and the real records beside it, as their scores take them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from common.data.genes import columns_of
from common.data.h5ad import H5ad
from common.data.obs import cell_types, column
from common.data.reader import SiteFile, gene_names
from common.errors import InputError
from common.synthesis.audit.closest import copies
from common.synthesis.records import Records

FILE, LABEL = "synthetic.h5ad", "cell_type"


@dataclass(frozen=True)
class Cohorts:
    """Records of one list of genes and classes; values are logarithms.

    Parameters
    ----------
    held_out
        Real records that the run did not see; None if none were given.
    left_out
        How many real records have no class of the run's.
    n_records
        There are in all, before a sample was taken: by "real", "held out", "synthetic".
    """

    genes: tuple[str, ...]
    classes: tuple[str, ...]
    unit: str
    real: Records
    held_out: Records | None
    synthetic: Records
    left_out: int = 0
    n_records: dict[str, int] = field(default_factory=dict)


def read_cohorts(
    run_dir: Path,
    config: Mapping[str, Any],
    real: Sequence[Path],
    held_out: Sequence[Path],
    *,
    max_records: int,
    seed: int,
) -> Cohorts:
    """Read ``synthetic.h5ad`` of a run folder and files of real records.

    Parameters
    ----------
    config
        The run's settings: columns, unit, and whether values are counts.
    max_records
        Of each kind at random at most so many are kept.

    Raises
    ------
    InputError
        A file or a column is missing, lacks a gene, or a held-out record or donor is in ``real``.
    """
    counts = config.get("expression") == "counts"
    donors = str(config.get("donor-key", "")) if config.get("privacy-unit") == "donor" else ""
    made = synthetic_file(run_dir)
    names = [str(name) for name in column(made.obs, LABEL, setting="its classes")]
    genes = gene_names(made.var("X"), "", source="X")
    classes = sorted(set(names))
    values = made.matrix("X").take(np.arange(len(made.obs))).toarray().astype(np.float64)
    code = {name: at for at, name in enumerate(classes)}
    codes = np.array([code[name] for name in names], dtype=np.int64)
    kinds = {"synthetic": (values, codes, np.arange(len(codes)).astype(str).astype(object))}
    left_out = 0
    for kind, paths in (("real", real), ("held out", held_out)):
        parts = [_real(path, genes, code, donors, config, counts) for path in paths]
        left_out += sum(n for *_, n in parts)
        if parts:
            kinds[kind] = tuple(np.concatenate([p[i] for p in parts]) for i in range(3))
    if held_out:
        _require_apart(kinds["real"], kinds["held out"], bool(donors))
    return Cohorts(
        tuple(genes),
        tuple(classes),
        "donor" if donors else "record",
        *(
            _records(kinds[kind], counts, max_records, seed) if kind in kinds else None
            for kind in ("real", "held out", "synthetic")
        ),
        left_out,
        {kind: len(v[0]) for kind, v in kinds.items()},
    )


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


def _real(
    path: Path,
    genes: Sequence[str],
    code: Mapping[str, int],
    donors: str,
    config: Mapping[str, Any],
    counts: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Values, classes, units and how many records are left out, of a file."""
    file = H5ad.open(path)
    key = str(config.get("cell-type-key", "cell_type"))
    layer, gene_column = str(config.get("layer", "auto")), str(config.get("gene-column", ""))
    stated = cell_types(file.obs, key)
    codes = np.array([code.get(name, -1) for name in stated], dtype=np.int64)
    if counts:
        site = SiteFile.open(
            path, batch_key="", cell_type_key=key, layer=layer, gene_column=gene_column
        )
        at = _columns(path, genes, site.genes)
        values = np.concatenate([block.toarray() for _, block in site.iter_counts(at)])
    else:
        source = "X" if layer in ("auto", "X") else layer if "/" in layer else f"layers/{layer}"
        at = _columns(path, genes, gene_names(file.var(source), gene_column, source=source))
        values = file.matrix(source).take(np.arange(len(codes)))[:, at].toarray()
    units = (
        column(file.obs, donors, setting="donor-key").astype(str).to_numpy(dtype=object)
        if donors
        else np.array([f"{path}/{i}" for i in range(len(codes))], dtype=object)
    )
    known = codes >= 0
    if not known.any():
        raise InputError(
            f"{path}: no record has a class of the run's in obs[{key!r}]; the run's are "
            f"{', '.join(list(code)[:8])}: give the column by its cell-type-key"
        )
    return values[known].astype(np.float64), codes[known], units[known], int((~known).sum())


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


def _records(kind: Kind, counts: bool, most: int, seed: int) -> Records:
    values, classes, names = kind
    if len(values) > most:
        rows = np.sort(np.random.default_rng(seed).choice(len(values), most, replace=False))
        values, classes, names = values[rows], classes[rows], names[rows]
    if counts:
        size = values.sum(axis=1, keepdims=True)
        values = np.log1p(1e4 * values / np.where(size > 0, size, 1.0))
    _, units = np.unique(names, return_inverse=True)
    return Records(values, classes, units.astype(np.int64))
