"""The figures of a federated evaluation: what each means, which way is good, and one score of all.

None of them sees a single cell's neighbourhood, as kNN metrics do: a few misplaced cells change
them little. All compare within cell types that sites share, by the sites' own labels, which have
steered the correction: a wrong label is not found. Where sites have other kinds of cells of one
type, as patients and controls, that counts as batch effect.
"""

from dataclasses import dataclass
from typing import Any

# A model that reconstructs less of what the means of batch and type do has learned nothing, and
# mixes nothing but noise.
LEAST_RECONSTRUCTION = 0.1
# A correction that leaves less of the types' separation than this has mixed them too.
LEAST_SEPARATION = 0.5


@dataclass(frozen=True)
class Figure:
    """A row of the table.

    Parameters
    ----------
    title, better
        In words; ``"higher"`` or ``"lower"``.
    meaning
        A sentence for a reader, with what its ends mean.
    """

    title: str
    better: str
    meaning: str


FIGURES = {
    "batch_share": Figure(
        "Variance between batches",
        "lower",
        "share of a type's variance, over random Fourier features, that lies between batches; "
        "0: its batches are alike, a little below 0: more alike than random samples",
    ),
    "batch_share_of_products": Figure(
        "Difference in spread",
        "lower",
        "the same of products of coordinates: batches of one mean and another spread or "
        "correlation are told apart",
    ),
    "batch_probe": Figure(
        "Batches told apart by a probe",
        "lower",
        "share of the batches' indicators that a linear probe on coordinates and their squares "
        "explains within types; 0: as by chance, 1: every cell's batch is known",
    ),
    "type_share": Figure(
        "Variance explained by cell type",
        "higher",
        "share of the variance over all batches that lies between types; a batch effect lowers it",
    ),
    "type_separation": Figure(
        "Cell types apart within a batch",
        "higher",
        "the same within single batches, where no batch effect hides the types: a fall means that "
        "types were mixed",
    ),
}
# What counts as mixing in the score: whole distributions, in particular their second moments, and
# what of a cell's batch can be told.
SHARES = ("batch_share", "batch_share_of_products", "batch_probe")


def score(
    after: dict[str, float | None],
    before: dict[str, float | None],
    reconstruction: dict[str, float | None],
) -> dict[str, Any]:
    """One score of a corrected version: 1 minus the mean of ``SHARES``, 0 where that means nothing.

    It ranks runs over the same cells, and is not comparable between data sets; a little above 1 is
    where batches are more alike than random samples. An embedding without
    content mixes perfectly: an untrained network is known by what it reconstructs, one that
    collapsed by that or by types that are no longer apart.

    Parameters
    ----------
    after, before
        The figures of the version and of the uncorrected cells.
    reconstruction
        Of :func:`common.federated_evaluation.reconstruction.explained_by_model`.

    Returns
    -------
    ``value``, None where batches could not be compared; and ``reason``, why it is None or 0.
    """
    model, means = reconstruction["reconstruction"], reconstruction["means_reconstruction"]
    if model is None or model <= 0 or (means and model < LEAST_RECONSTRUCTION * means):
        shown = "nothing" if model is None else f"{model:.3f}"
        return {
            "value": 0.0,
            "reason": f"the model reconstructs {shown} of the variance of expression, and the "
            f"means of batch and type {means or 0:.3f}: it has learned nothing",
        }
    kept, had = after["type_separation"], before["type_separation"]
    if had is not None and had > 0 and (kept is None or kept < LEAST_SEPARATION * had):
        return {
            "value": 0.0,
            "reason": f"cell types within batches are apart by {kept or 0:.3f} of the variance, "
            f"before by {had:.3f}: they were mixed",
        }
    shares = [after[name] for name in SHARES]
    if None in shares:
        return {"value": None, "reason": "no cell type could be compared between batches"}
    return {"value": 1 - sum(shares) / len(shares), "reason": ""}
