"""What everybody knows of a cohort before anything of it is released: nothing here is of cells."""

from dataclasses import dataclass
from typing import Literal

Unit = Literal["record", "donor"]


@dataclass(frozen=True)
class Schema:
    """Genes, classes and bounds: public settings of a run.

    Parameters
    ----------
    genes, classes
        In their order.
    low, high
        Public bounds of a gene's value; what is outside is clipped to them, and counted.
    unit
        Whom privacy is for: a record (bulk sample or cell), or a donor with all their records.
    most_records
        Of a donor and class that count, at most; 1 with ``unit = "record"``.
    counts
        Values are raw counts (single cells), not logarithms.
    """

    genes: tuple[str, ...]
    classes: tuple[str, ...]
    low: float
    high: float
    unit: Unit = "record"
    most_records: int = 1
    counts: bool = False

    @property
    def n_genes(self) -> int:
        """How many genes."""
        return len(self.genes)

    @property
    def n_classes(self) -> int:
        """How many classes."""
        return len(self.classes)
