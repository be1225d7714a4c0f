"""Settings of a run that `task = correct` alone reads."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from common.settings import Settings


class CorrectSettings(Settings):
    """How expression is corrected. Of the network, 0 or "" stands for the preset's own value."""

    preset: Literal["default", "fedscgen"] = Field(
        "default", description="network and training; the values of each are below"
    )
    model: str = Field(
        "",
        description="absolute path of a bundle at the coordinator, whose model is not trained: the "
        "sites' references are made anew with it; '' = train one",
    )
    kl_weight: float = Field(0.0, ge=0, description="of the KL divergence, in the loss")
    hidden: str = Field("", pattern=r"^(\d+(,\d+)*)?$", description="layer widths, as '800,800'")
    vae_form: Literal["full", "reduced"] = Field(
        "full", description="reduced: hidden layers of half the width, in place of hidden"
    )
    latent_dim: int = Field(0, ge=0, description="latent dimensions")
    alignment: Literal["", "mean", "covariance"] = Field(
        "", description="what of a type's batches is made equal; '' = the preset's"
    )
    smoothing: float = Field(
        -1.0, le=1, description="0 to 1, towards neighbouring cells of the batch; -1 = the preset's"
    )
    unlabelled: Literal["leave", "nearest"] = Field(
        "leave",
        description="cells without a label that steers: leave them, or shift each as its nearest "
        "labelled cells of the batch",
    )
    min_reference_cells: int = Field(20, ge=1, description="cells a batch needs to be dominant")
    output: Literal["decoded", "residual", "both"] = Field(
        "decoded", description="decode(z'), or residual, which keeps the cell's own signal, or both"
    )
    evaluate: bool = Field(
        True, description="score the correction in the end by sums over sites: docs/evaluation.md"
    )

    @field_validator("smoothing")
    @classmethod
    def _smoothing_is_a_share(cls, smoothing: float) -> float:
        if not (smoothing == -1 or smoothing >= 0):
            raise ValueError(f"smoothing = {smoothing}: from 0 to 1, or -1 for the preset's own")
        return smoothing

    @model_validator(mode="after")
    def _one_width(self) -> Self:
        if self.hidden and self.vae_form != "full":
            raise ValueError(
                f"hidden = {self.hidden!r} with vae-form = {self.vae_form}, which sets the widths "
                "itself: leave one of them out"
            )
        return self
