"""The run's settings, one for all sites: Flower's run config."""

import hashlib
import json
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from common.config_classify import ClassifySettings
from common.config_correct import CorrectSettings
from common.config_synthesize import SynthesizeSettings
from common.errors import ConfigError
from common.precision_name import PrecisionName
from common.registry import did_you_mean
from common.settings import (
    CARBON,
    READING,
    UNITS,
    CarbonSettings,
    Device,
    EnergySettings,
    ReadingSettings,
    UnitSettings,
    kebab,
)
from common.strategy_names import (
    OF_CHECKPOINT,
    OF_CLASSIFIER,
    OF_PRESET,
    READS,
    ROBUST,
    SETTINGS,
    StrategyName,
)
from common.wire import PHASES

SIMULATION_KEYS = ("data", "device", *map(kebab, (*READING, *UNITS, *CARBON)))
OF_TASK = {
    "correct": tuple(CorrectSettings.model_fields),
    "classify": tuple(ClassifySettings.model_fields),
    "synthesize": tuple(SynthesizeSettings.model_fields),
}


class RunConfig(
    ReadingSettings,
    UnitSettings,
    CorrectSettings,
    ClassifySettings,
    SynthesizeSettings,
    EnergySettings,
    CarbonSettings,
):
    """Settings of a run, the same for every site: Flower's run config.

    Of the network and its training, 0 or "" stands for the preset's own value.
    """

    task: Literal["correct", "classify", "synthesize"] = Field("correct", description="what is run")
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

    gene_join: Literal["intersection", "union"] = Field(
        "intersection", description="union: genes that a site lacks count as zeros"
    )
    max_padded: float = Field(0.3, ge=0, lt=1, description="union: share of genes a site may lack")
    n_top_genes: int = Field(2000, ge=2, description="highly variable genes kept")

    rounds: int = Field(0, ge=0, description="federated rounds")
    local_epochs: int = Field(
        0, ge=0, description="passes over a site's cells in each round; not of fedsgd"
    )
    allow_fewer_epochs: bool = Field(
        False, description="a site may train half of local-epochs in a dirty hour: docs/carbon.md"
    )
    batch_size: int = Field(
        0, ge=0, description="cells per step; of fedsgd, whose step is a round: of all sites"
    )
    learning_rate: float = Field(0.0, ge=0, description="Adam's")
    precision: PrecisionName = Field(
        "float32",
        description="of training at the sites; bf16: where a site's device computes in it",
    )
    prune_share: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="of the weights: the smallest, which are zero from prune-round on and are not "
        "sent; 0 = none",
    )
    prune_round: int = Field(
        0, ge=0, description="prune-share: after which round; 0 = after a quarter of them"
    )
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

    seed: int = Field(42, ge=0, lt=2**31, description="of everything random")

    def deadline_of(self, phase: str) -> float:
        """Seconds that a site has to answer this phase."""
        return _deadlines(self.deadlines).get(phase, self.deadline)

    @property
    def strategy_name(self) -> StrategyName:
        """The strategy of the run; its preset's or its classifier's where it names none."""
        if self.task == "classify":
            return self.strategy or (OF_CHECKPOINT if self.goes_on else OF_CLASSIFIER)
        return self.strategy or OF_PRESET[self.preset]

    def other_tasks(self) -> dict[str, Any]:
        """Settings of other tasks than the run's that differ from their defaults, by name."""
        fields = type(self).model_fields
        others = [name for task, names in OF_TASK.items() if task != self.task for name in names]
        given = {name: getattr(self, name) for name in others}
        return {name: value for name, value in given.items() if value != fields[name].default}

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
    def _settings_are_read(self) -> Self:
        faults = [
            f"{kebab(name)} = {value!r} is not of task = {self.task}; leave it out"
            for name, value in self.other_tasks().items()
        ]
        for name in SETTINGS:
            value, default = getattr(self, name), type(self).model_fields[name].default
            if value != default and name not in READS[self.strategy_name]:
                readers = ", ".join(strategy for strategy, keys in READS.items() if name in keys)
                key = f"{kebab(name)} = {value:g}"
                faults.append(f"{key} is read by {readers}, not by strategy = {self.strategy_name}")
        if self.local_epochs and self.strategy_name == "fedsgd":
            faults.append(
                f"local-epochs = {self.local_epochs}: with strategy = fedsgd a round is one step "
                "of all sites; set rounds, or a strategy that trains at the sites, such as fedavg"
            )
        if self.allow_fewer_epochs and self.strategy_name == "fedsgd":
            faults.append(
                "allow-fewer-epochs = true: with strategy = fedsgd a site trains no local epochs; "
                "leave it out, or set a strategy that trains at the sites, such as fedavg"
            )
        if self.prune_round and not self.prune_share:
            faults.append(
                f"prune-round = {self.prune_round} without prune-share: set the share of weights "
                "to prune, as prune-share = 0.5, or leave it out"
            )
        if self.preset == "fedscgen" and self.strategy == "fedsgd":
            faults.append(
                "strategy = fedsgd: batch norm in preset = fedscgen sees the cells of one site "
                "alone, so that no step is one on all cells; take fedavg, or preset = default"
            )
        if self.target_f1 and self.on_site_error == "continue" and self.secure_sum != "off":
            faults.append(
                f"target-f1 = {self.target_f1:g} with on-site-error = continue: beside earlier "
                "sums those by class over fewer sites would show a lost site's cells; set "
                "on-site-error = wait or stop, or leave target-f1 out"
            )
        if self.forest == "bagging" and self.secure_sum != "off":
            faults.append(
                f"forest = bagging joins the trees of single sites, which secure-sum = "
                f"{self.secure_sum} hides from the coordinator; take forest = joint, or secure-sum "
                "= off if every site may show its trees"
            )
        if self.task == "synthesize":
            faults += self._synthesis_faults()
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def _synthesis_faults(self) -> list[str]:
        faults = []
        if self.gene_join != "intersection":
            faults.append(
                f"gene-join = {self.gene_join}: zeros of genes that a site lacks are no values to "
                "learn from; leave it out"
            )
        try:
            self.require_privacy()
        except ConfigError as error:
            faults.append(str(error))
        if self.noise_lost and self.secure_sum == "crypten":
            faults.append(
                f"noise-lost = {self.noise_lost} with secure-sum = crypten, which opens no sum "
                "without all its sites: set secure-sum = masked, or noise-lost = 0"
            )
        n_counted = self.noise_lost + self.noise_colluding
        if self.n_sites and n_counted >= self.n_sites:
            faults.append(
                f"noise-lost = {self.noise_lost} and noise-colluding = {self.noise_colluding} of "
                f"{self.n_sites} sites leave none whose noise is counted on: lower them"
            )
        return faults


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
