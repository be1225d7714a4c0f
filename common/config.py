"""The run's settings (one for all sites) and a site's own settings, with unknown keys refused."""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from common.errors import ConfigError
from common.registry import did_you_mean
from common.strategy_names import OF_PRESET, READS, ROBUST, SETTINGS, StrategyName
from common.wire import PHASES


def _kebab(name: str) -> str:
    return name.replace("_", "-")


class Settings(BaseModel):
    """A table of settings: written with dashes, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=_kebab)

    @classmethod
    def keys(cls) -> list[str]:
        """The keys as the user writes them."""
        return [_kebab(name) for name in cls.model_fields]

    @classmethod
    def parse(cls, values: dict[str, Any], *, where: str) -> Self:
        """Check a flat table of settings.

        Raises
        ------
        ConfigError
            A key is unknown or a value does not fit; every fault is named at once.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            faults = "; ".join(_fault(fault, cls.keys()) for fault in error.errors())
            raise ConfigError(f"{where}: {faults}") from None

    def flat(self) -> dict[str, str | int | float | bool]:
        """The settings as the flat table that Flower carries."""
        return self.model_dump(by_alias=True)


def _fault(fault: Any, known: list[str]) -> str:
    key = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        return f"unknown key {key!r}: {did_you_mean(key, known)}"
    if fault["type"] == "value_error":
        return fault["msg"].removeprefix("Value error, ")
    return f"{key} = {fault['input']!r}: {fault['msg'][0].lower()}{fault['msg'][1:]}"


# How a file is read: a simulation's run config has these settings, and a real site's node config.
BATCH_KEY = Field("batch", description="obs column; '' = a site is one batch")
CELL_TYPE_KEY = Field("cell_type", min_length=1, description="obs column")
LAYER = Field("auto", description="auto, X, raw, or a layer's name: where the counts are")
GENE_COLUMN = Field("", description="var column with the gene names; '' = var_names")
LABEL_ORIGIN = Field("curated", description="curated or predicted: where the cell types are from")
LABEL_ORIGIN_KEY = Field(
    "", description="obs column with curated or predicted for each cell; '' = label-origin of all"
)
CONFIDENCE_KEY = Field("", description="obs column, 0 to 1: of predicted cell types")
MIN_CONFIDENCE = Field(
    0.0, ge=0, le=1, description="a cell type predicted with less does not steer the correction"
)

READING = (
    *("batch_key", "cell_type_key", "layer", "gene_column"),
    *("label_origin", "label_origin_key", "confidence_key", "min_confidence"),
)
SIMULATION_KEYS = ("data", "device", *map(_kebab, READING))

LabelOrigin = Literal["curated", "predicted"]
Device = Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")]


class RunConfig(Settings):
    """Settings of a run, the same for every site: Flower's run config.

    Of the network and its training, 0 or "" stands for the preset's own value.
    """

    task: Literal["correct"] = Field("correct", description="what is run")
    preset: Literal["default", "fedscgen"] = Field(
        "default", description="network and training; the values of each are below"
    )
    model: str = Field(
        "",
        description="absolute path of a bundle at the coordinator, whose model is not trained: the "
        "sites' references are made anew with it; '' = train one",
    )

    data: str = Field("", description="simulation: a folder with one .h5ad per site; '' = demo")
    out: str = Field("", description="run folder; '' = ~/syncytium-runs/RUN_ID")
    device: Device = Field("auto", description="simulation: where each site computes")
    n_sites: int = Field(0, ge=0, description="wait for so many sites; 0 = all that are connected")
    min_sites: int = Field(2, ge=1, validate_default=True, description="a sum needs so many sites")
    on_site_error: Literal["stop", "continue", "wait"] = Field(
        "stop",
        description="what a lost site means: stop the run, go on without it, or wait for it",
    )
    wait: float = Field(600.0, gt=0, description="on-site-error = wait: seconds, then stop")
    readmit: bool = Field(
        True, description="on-site-error = continue: take lost sites in again, once all are back"
    )
    deadline: float = Field(3600.0, gt=0, description="seconds a site has to answer one phase")
    deadlines: str = Field(
        "", description="of single phases, as 'fit=7200,correct=600'; the others have deadline"
    )
    resume: bool = Field(False, description="go on with the run that stopped in out")
    secure_sum: Literal["masked", "crypten", "off"] = Field(
        "masked",
        validate_default=True,
        description="how sums travel; off = unmasked, for comparison",
    )
    consistency: bool = Field(
        False, description="masked: sites sign the list of survivors before they help to open"
    )
    ring_bits: Literal[64, 32] = Field(
        64, description="of a model value in a sum; 32 = half the traffic, coarser steps"
    )

    batch_key: str = BATCH_KEY
    cell_type_key: str = CELL_TYPE_KEY
    layer: str = LAYER
    gene_column: str = GENE_COLUMN
    label_origin: LabelOrigin = LABEL_ORIGIN
    label_origin_key: str = LABEL_ORIGIN_KEY
    confidence_key: str = CONFIDENCE_KEY
    min_confidence: float = MIN_CONFIDENCE
    gene_join: Literal["intersection", "union"] = Field(
        "intersection", description="union: genes that a site lacks count as zeros"
    )
    max_padded: float = Field(0.3, ge=0, lt=1, description="union: share of genes a site may lack")
    n_top_genes: int = Field(2000, ge=2, description="highly variable genes kept")

    rounds: int = Field(0, ge=0, description="federated rounds")
    local_epochs: int = Field(
        0, ge=0, description="passes over a site's cells in each round; not of fedsgd"
    )
    batch_size: int = Field(
        0, ge=0, description="cells per step; of fedsgd, whose step is a round: of all sites"
    )
    learning_rate: float = Field(0.0, ge=0, description="Adam's")
    kl_weight: float = Field(0.0, ge=0, description="of the KL divergence, in the loss")
    hidden: str = Field("", pattern=r"^(\d+(,\d+)*)?$", description="layer widths, as '800,800'")
    latent_dim: int = Field(0, ge=0, description="latent dimensions")
    patience: int = Field(
        -1,
        ge=-1,
        description="stop after so many rounds without a better validation loss; 0 = never, -1 = "
        "the preset's",
    )

    strategy: Literal["", StrategyName] = Field(
        "", description="how models are joined: docs/strategies.md"
    )
    server_learning_rate: float = Field(
        0.0, ge=0, description="fedavgm, fedadam, fedyogi, fedadagrad; 0 = the strategy's own"
    )
    server_momentum: float = Field(0.5, ge=0, lt=1, description="fedavgm")
    beta_1: float = Field(0.5, ge=0, lt=1, description="fedadam, fedyogi: of the mean change")
    beta_2: float = Field(0.99, ge=0, lt=1, description="fedadam, fedyogi: of its square")
    tau: float = Field(
        0.01, gt=0, description="fedadam, fedyogi, fedadagrad: added to the root of the square"
    )
    proximal_mu: float = Field(0.01, ge=0, description="fedprox: pull to the round's first model")
    malicious_sites: int = Field(
        1, ge=0, description="krum, fedmedian, fedtrimmedavg: wrong sites to withstand"
    )

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
    seed: int = Field(42, ge=0, lt=2**31, description="of everything random")

    def deadline_of(self, phase: str) -> float:
        """Seconds that a site has to answer this phase."""
        return _deadlines(self.deadlines).get(phase, self.deadline)

    @property
    def strategy_name(self) -> StrategyName:
        """The strategy of the run, its preset's where it names none."""
        return self.strategy or OF_PRESET[self.preset]

    def digest(self) -> str:
        """A hash of all settings."""
        return hashlib.sha256(json.dumps(self.flat(), sort_keys=True).encode()).hexdigest()

    @field_validator("deadlines")
    @classmethod
    def _deadlines_are_of_phases(cls, deadlines: str) -> str:
        unknown = sorted(set(_deadlines(deadlines)) - set(PHASES))
        if unknown:
            phase = unknown[0]
            raise ValueError(f"deadlines: no phase {phase!r}: {did_you_mean(phase, PHASES)}")
        return deadlines

    @field_validator("smoothing")
    @classmethod
    def _smoothing_is_a_share(cls, smoothing: float) -> float:
        if not (smoothing == -1 or smoothing >= 0):
            raise ValueError(f"smoothing = {smoothing}: from 0 to 1, or -1 for the preset's own")
        return smoothing

    @field_validator("min_sites")
    @classmethod
    def _sites_suffice(cls, min_sites: int, info: ValidationInfo) -> int:
        n_sites = info.data.get("n_sites", 0)
        if 0 < n_sites < min_sites:
            raise ValueError(
                f"n-sites = {n_sites} is below min-sites = {min_sites}: no sum could open; for a "
                "single site set secure-sum = off and min-sites = 1"
            )
        return min_sites

    @field_validator("secure_sum")
    @classmethod
    def _sums_hide(cls, secure_sum: str, info: ValidationInfo) -> str:
        min_sites = info.data.get("min_sites", 2)
        if secure_sum != "off" and min_sites < 2:
            raise ValueError(
                f"min-sites = {min_sites} with secure-sum = {secure_sum}: a sum of one site hides "
                "nothing; set min-sites to 2 or more, or secure-sum = off"
            )
        return secure_sum

    @field_validator("strategy")
    @classmethod
    def _strategy_sees_what_it_needs(cls, strategy: str, info: ValidationInfo) -> str:
        sums = info.data.get("secure_sum", "off")
        if strategy in ROBUST and sums != "off":
            others = ", ".join(name for name in READS if name not in ROBUST)
            raise ValueError(
                f"strategy = {strategy} compares the models of single sites, which secure-sum = "
                f"{sums} hides from the coordinator; use one of {others}, or secure-sum = off if "
                "every site may show its model"
            )
        return strategy

    @model_validator(mode="after")
    def _confidences_are_read(self) -> Self:
        _require_confidences_read(self)
        return self

    @model_validator(mode="after")
    def _settings_are_read(self) -> Self:
        faults = []
        for name in SETTINGS:
            value, default = getattr(self, name), type(self).model_fields[name].default
            if value != default and name not in READS[self.strategy_name]:
                readers = ", ".join(strategy for strategy, keys in READS.items() if name in keys)
                key = f"{_kebab(name)} = {value:g}"
                faults.append(f"{key} is read by {readers}, not by strategy = {self.strategy_name}")
        if self.local_epochs and self.strategy_name == "fedsgd":
            faults.append(
                f"local-epochs = {self.local_epochs}: with strategy = fedsgd a round is one step "
                "of all sites; set rounds, or a strategy that trains at the sites, such as fedavg"
            )
        if self.preset == "fedscgen" and self.strategy == "fedsgd":
            faults.append(
                "strategy = fedsgd: batch norm in preset = fedscgen sees the cells of one site "
                "alone, so that no step is one on all cells; take fedavg, or preset = default"
            )
        if faults:
            raise ValueError("; ".join(faults))
        return self


def _require_confidences_read(reading: "RunConfig | NodeConfig") -> None:
    """Raise ValueError where a confidence is asked for that nothing would heed."""
    key, least = reading.confidence_key, reading.min_confidence
    if least and not key:
        raise ValueError(
            f"min-confidence = {least:g}: name the obs column with the confidences as "
            "confidence-key"
        )
    if key and reading.label_origin == "curated" and not reading.label_origin_key:
        raise ValueError(
            f"confidence-key = {key!r} is of predicted cell types, and label-origin says that all "
            "are curated; set label-origin = predicted, or label-origin-key to an obs column"
        )


def _deadlines(text: str) -> dict[str, float]:
    """Seconds by phase."""
    try:
        pairs = [part.split("=") for part in text.split(",") if part.strip()]
        deadlines = {phase.strip(): float(seconds) for phase, seconds in pairs}
    except ValueError:
        deadlines = {"": 0.0}
    if any(not 0 < seconds < float("inf") for seconds in deadlines.values()):
        raise ValueError(f"deadlines = {text!r}: write phases and seconds, as 'fit=7200,peaks=60'")
    return deadlines


class NodeConfig(Settings):
    """Settings of one site: Flower's node config, written by the site itself.

    Which columns of its file are read, and so which names it publishes, is a site's own word, as
    is what it says of its labels: the run config's ``SIMULATION_KEYS`` hold for simulated sites
    alone.
    """

    data_path: str = Field(min_length=1, description="the site's .h5ad")
    output_dir: str = Field("syncytium-output", description="results, outbox.jsonl and cache")
    cache_dir: str = Field("", description="'' = OUTPUT-DIR/cache")
    name: str = Field("", description="the site's name; '' = the file's")
    device: Device = Field("auto", description="auto, cpu, cuda or cuda:1")
    policy: str = Field("", description="the site's rules, a file as of `syncytium policy`")
    site_key: str = Field("", description="its long-term key, a file as of `syncytium keys`")
    report: bool = Field(True, description="make report.html of its own cells: some 25 seconds")
    threads: int = Field(1, ge=1, description="CPU threads of torch; more only on an idle machine")
    batch_key: str = BATCH_KEY
    cell_type_key: str = CELL_TYPE_KEY
    layer: str = LAYER
    gene_column: str = GENE_COLUMN
    label_origin: LabelOrigin = LABEL_ORIGIN
    label_origin_key: str = LABEL_ORIGIN_KEY
    confidence_key: str = CONFIDENCE_KEY
    min_confidence: float = MIN_CONFIDENCE

    @model_validator(mode="after")
    def _confidences_are_read(self) -> Self:
        _require_confidences_read(self)
        return self


def run_folder(config: RunConfig, run_id: int) -> Path:
    """Where a run's results go: ``out``, or a folder named after the run in the home directory.

    Raises
    ------
    ConfigError
        ``out`` is relative: Flower's processes have working directories of their own.
    """
    if not config.out:
        return Path.home() / "syncytium-runs" / str(run_id)
    folder = Path(config.out).expanduser()
    if not folder.is_absolute():
        raise ConfigError(f"out = {config.out!r}: `flwr run` needs an absolute path")
    return folder
