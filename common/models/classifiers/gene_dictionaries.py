"""Geneformer's dictionaries: the token of a gene, and its typical expression over the corpus."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.data.genes import is_ensembl, strip_version
from common.errors import InputError
from common.models.classifiers.checkpoint_json import read_json

_CONVERT = (
    "write it where Geneformer is installed, in the model's version: "
    "t = geneformer.TranscriptomeTokenizer(); json.dump(t.{attribute}, open({name!r}, 'w'), "
    "default=float)"
)


@dataclass(frozen=True)
class GeneDictionaries:
    """What a checkpoint knows of genes.

    Parameters
    ----------
    tokens
        Token of each gene, and of what is no gene, such as ``<pad>``.
    medians
        Non-zero median of each gene in CP10k.
    ensembl
        Ensembl id of each symbol; empty, there is no such file.
    """

    tokens: dict[str, int]
    medians: dict[str, float]
    ensembl: dict[str, str]

    @classmethod
    def read(cls, folder: Path) -> "GeneDictionaries":
        """Read the folder's JSON files.

        Raises
        ------
        InputError
            One is missing, there are two of a kind, or one holds something else.
        """
        if not folder.is_dir():
            raise InputError(f"{folder} is no folder: name that of a checkpoint")
        tokens = _read(folder, "token_dictionary", dict[str, int], "gene_token_dict")
        medians = _read(folder, "gene_median_dictionary", dict[str, float], "gene_median_dict")
        names = _read(folder, "gene_name_id", dict[str, str])
        if below := [gene for gene, token in tokens.items() if token < 0]:
            raise InputError(f"{folder}: token {tokens[below[0]]} of {below[0]} is below 0")
        wrong = [gene for gene, m in medians.items() if not (np.isfinite(m) and m > 0)]
        if wrong:
            raise InputError(
                f"{folder}: the median of {wrong[0]} is {medians[wrong[0]]:g}, and {len(wrong):,} "
                f"of {len(medians):,} are not above 0: take those of cells that express a gene"
            )
        return cls(tokens, medians, names)

    def look_up(self, genes: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Tokens and typical expression of genes.

        Returns
        -------
        tokens
            int64 (n_genes,); -1 for a gene that either dictionary lacks, or whose token an earlier
            gene has.
        typical
            CP10k, float32 (n_genes,); 0 for the same genes.
        """
        tokens = np.full(len(genes), -1, dtype=np.int64)
        typical = np.zeros(len(genes), dtype=np.float32)
        taken: set[int] = set()
        for i, gene in enumerate(genes):
            name = self._name(gene)
            token = self.tokens.get(name)
            if token is not None and name in self.medians and token not in taken:
                taken.add(token)
                tokens[i], typical[i] = token, self.medians[name]
        return tokens, typical

    def _name(self, gene: str) -> str:
        name = strip_version(gene)
        return name if name in self.tokens else strip_version(self.ensembl.get(name, name))

    def mend(self, genes: Sequence[str]) -> str:
        """What to do where too few genes are known."""
        ids = any(map(is_ensembl, self.tokens))
        if ids and not self.ensembl and not any(is_ensembl(gene) for gene in genes):
            return (
                "the run's genes are symbols: add gene_name_id.json, from symbol to Ensembl id, or "
                "set gene-column to a column of Ensembl ids"
            )
        return "take a checkpoint of the same species, or raise n-top-genes"


def _read(folder: Path, stem: str, kind: Any, attribute: str = "") -> Any:
    """The one file of a stem; none is empty where there is nothing to convert it from."""
    found = sorted(folder.glob(f"{stem}*.json"))
    name = f"{stem}.json"
    mend = _CONVERT.format(attribute=attribute, name=name) if attribute else "copy it again"
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise InputError(f"{folder} has {names}: leave the one that belongs to the model")
    if not found and not attribute:
        return {}
    return read_json(found[0] if found else folder / name, kind, mend)
