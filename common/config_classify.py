"""Settings of a run that `task = classify` alone reads."""

from typing import Literal, Self

from pydantic import Field, model_validator

from common.settings import Settings


class ClassifySettings(Settings):
    """How cells are classified. 0, -1 or "" stands for the classifier's own value."""

    classifier: str = Field(
        "logistic", min_length=1, description="the model; docs/classify.md has them all"
    )
    classifier_form: str = Field(
        "published", min_length=1, description="which of its forms, as 'simplified'"
    )
    validation_share: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="of each label's cells at a site: held out to stop, and to set temperature "
        "and threshold",
    )
    test_share: float = Field(
        0.2, ge=0, lt=1, description="of the same: held out to score the final model alone"
    )
    target_f1: float = Field(
        0.0,
        ge=0,
        le=1,
        description="stop at the first model with this macro-F1 on the validation cells of all "
        "sites; 0 = none",
    )
    start_from: str = Field(
        "",
        description="absolute path of a bundle of classify at the coordinator to train on from: "
        "its genes, classes and values; '' = from scratch. docs/fine-tuning.md",
    )
    scratch_kwh: float = Field(
        0.0,
        ge=0,
        description="start-from: what training from scratch takes instead, kWh, to tell from how "
        "many users on the bundle saves energy; 0 = not known",
    )
    rare_labels: Literal["other", "leave-out", "refuse"] = Field(
        "other", description="a label of too few sites: merge it into other, leave it out, refuse"
    )
    label_sites: int = Field(
        0, ge=0, description="sites that must hold a label for it to be a class; 0 = min-sites"
    )
    ontology: str = Field(
        "",
        description="absolute path of a CSV file at the coordinator that maps labels to Cell "
        "Ontology terms; '' = none",
    )
    checkpoint: str = Field(
        "",
        description="transformer: absolute path of a folder at the coordinator with a checkpoint "
        "of Geneformer's form, to train on from; '' = from scratch",
    )
    trained_layers: str = Field(
        "",
        description="checkpoint: parts that are trained and exchanged, as 'layers.5,pooler,head', "
        "or 'all'; '' = the last two layers, the pooler and the head",
    )
    class_weights: Literal["", "none", "balanced", "sqrt", "effective"] = Field(
        "", description="of a cell in the loss, from the masked counts of its class"
    )
    logit_adjustment: float = Field(
        -1.0, description="local training: take a site's class frequencies out of its logits"
    )
    pseudo_count: float = Field(
        -1.0, description="of logit-adjustment: cells that a site adds to each class"
    )
    keep_answers: float = Field(
        0.98,
        ge=0,
        le=1,
        description="share of the right answers on validation cells that stay above the "
        "confidence below which a cell is unknown; 0 = no cell is",
    )
    forest: Literal["joint", "bagging"] = Field(
        "joint",
        description="xgboost: trees of all sites' sums, or every site's own, which secure-sum = "
        "off alone lets the coordinator see",
    )
    max_depth: int = Field(0, ge=0, le=12, description="xgboost: levels of splits")
    gene_share: float = Field(
        0.0, ge=0, le=1, description="xgboost: genes that a round may split on, drawn anew"
    )

    @property
    def goes_on(self) -> bool:
        """Whether the network's shape is that of what the run starts from."""
        return bool(self.checkpoint or self.start_from)

    @property
    def trained_parts(self) -> tuple[str, ...] | None:
        """Of a checkpoint: parts to train, none for all of it; None for its own choice."""
        parts = tuple(part.strip() for part in self.trained_layers.split(",") if part.strip())
        return () if parts == ("all",) else parts or None

    @model_validator(mode="after")
    def _checkpoint_is_read(self) -> Self:
        if self.trained_layers and not self.checkpoint:
            raise ValueError(
                f"trained-layers = {self.trained_layers!r} without checkpoint: what begins from "
                "scratch is trained whole; name a checkpoint, or leave it out"
            )
        if not self.checkpoint:
            return self
        if self.classifier != "transformer":
            raise ValueError(
                f"checkpoint = {self.checkpoint!r} with classifier = {self.classifier}: set "
                "classifier = transformer, or leave it out"
            )
        if self.classifier_form != "published":
            raise ValueError(
                f"classifier-form = {self.classifier_form} with a checkpoint, which says the "
                "network's form itself: leave it out"
            )
        return self

    @model_validator(mode="after")
    def _bundle_is_read(self) -> Self:
        if self.scratch_kwh and not self.start_from:
            raise ValueError(
                f"scratch-kwh = {self.scratch_kwh:g} without start-from: it is compared with what "
                "training on from a bundle takes; name one, or leave it out"
            )
        return self

    @model_validator(mode="after")
    def _some_cells_train(self) -> Self:
        if self.validation_share + self.test_share >= 1:
            raise ValueError(
                f"validation-share = {self.validation_share:g} and test-share = "
                f"{self.test_share:g} leave no cell to train: lower one of them"
            )
        if self.target_f1 and not self.validation_share:
            raise ValueError(
                f"target-f1 = {self.target_f1:g} with validation-share = 0: nothing tells when it "
                "is reached; hold cells out, as validation-share = 0.1, or leave target-f1 out"
            )
        for key, value in (
            ("logit-adjustment", self.logit_adjustment),
            ("pseudo-count", self.pseudo_count),
        ):
            if value < 0 and value != -1:
                raise ValueError(f"{key} = {value:g}: from 0, or -1 for the classifier's own")
        return self
