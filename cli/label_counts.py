"""What is said of cells whose own label is not a curated one."""

from collections.abc import Iterator, Mapping
from typing import Any


def label_counts(counts: Mapping[str, Any]) -> Iterator[str]:
    """Lines about ``counts``, cells by the names of the fields of the phase ``correct``."""
    if n_predicted := counts.get("n_predicted", 0):
        yield f"{n_predicted:,} cells were shifted by predicted labels"
    n_unlabelled, n_unsure = (counts.get(key, 0) for key in ("n_unlabelled", "n_unsure"))
    without = [f"{n_unlabelled:,} cells have no label"] if n_unlabelled else []
    without += [f"{n_unsure:,} cells have one too unsure to steer"] if n_unsure else []
    if without:
        n_nearest = counts["n_nearest"]
        done = f"{n_nearest:,} of them were shifted as their nearest labelled cells"
        yield f"{', '.join(without)}: {done if n_nearest else 'they were not shifted'}"
