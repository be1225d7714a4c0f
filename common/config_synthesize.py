"""Settings of a run that `task = synthesize` alone reads."""

import math
import tomllib
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from common.errors import ConfigError
from common.settings import Settings

DELTA = 1e-5
# Of the public bounds, over the larger of them or 1: eight steps of float32.
LEAST_WIDTH = 1e-6


class SynthesizeSettings(Settings):
    """How a synthetic cohort is made, and under which privacy: all of it public."""

    generator: str = Field(
        "auto", min_length=1, description="docs/synthesize.md has them all; auto = by its rule"
    )
    generator_options: str = Field(
        "", description="the generator's own settings, as 'bins = 8, edges = \"public\"' in TOML"
    )
    epsilon: float = Field(
        0.0, description="of the whole run, for one privacy unit more or less; must be given"
    )
    delta: float = Field(DELTA, description="of the whole run: well below 1 over the units")
    noise: Literal["on", "off"] = Field(
        "on", description="off: no privacy, an upper bound of what a generator can do"
    )
    privacy_unit: Literal["record", "donor"] = Field(
        "record", description="who is protected: a sample or cell, or a donor with all of theirs"
    )
    most_records: int = Field(
        0,
        ge=0,
        le=2**24,
        description="privacy-unit = donor: of a donor and class that count; 0 = 50",
    )
    value_low: float = Field(0.0, description="public lower bound of a gene's value")
    value_high: float = Field(
        20.0, description="public upper bound; values outside are clipped, and counted at the site"
    )
    expression: Literal["log", "counts"] = Field(
        "log", description="log: values as they are in the file; counts: raw counts"
    )
    gene_list: str = Field(
        "",
        description="absolute path of a file at the coordinator with a gene a line; '' = all that "
        "every site has",
    )
    classes: str = Field(
        "",
        description="public list of labels, as 'LumA,LumB'; '' = names that min-sites sites hold, "
        "which epsilon does not cover",
    )
    expected_units: int = Field(
        0,
        ge=0,
        description="roughly the units of all sites, a public guess: a run too small for this "
        "epsilon is refused before anything is spent, and generator = auto goes by it; 0 = not "
        "told, and auto reckons with 1000",
    )
    samples_per_class: int = Field(
        0,
        ge=0,
        description="synthetic records of each class; 0 = as many as it has units (records or "
        "donors) by the noisy counts",
    )
    noise_lost: int = Field(
        0, ge=0, description="sites that may be lost in a sum whose noise still suffices"
    )
    noise_colluding: int = Field(
        0, ge=0, description="sites that may tell each other their noise, which still suffices"
    )

    @property
    def private(self) -> bool:
        """Whether there is noise."""
        return self.noise == "on"

    @property
    def stated_epsilon(self) -> float:
        """Infinity without noise."""
        return self.epsilon if self.private else math.inf

    @property
    def records_of_donor(self) -> int:
        """Of a unit and class that count, at most."""
        return (self.most_records or 50) if self.privacy_unit == "donor" else 1

    @property
    def public_classes(self) -> tuple[str, ...]:
        """The labels of ``classes``, in their order."""
        return tuple(part.strip() for part in self.classes.split(",") if part.strip())

    @property
    def options(self) -> dict[str, Any]:
        """The generator's own settings."""
        return options_in(self.generator_options)

    @field_validator("generator_options")
    @classmethod
    def _options_are_toml(cls, text: str) -> str:
        options_in(text)
        return text

    @field_validator("classes")
    @classmethod
    def _classes_are_distinct(cls, text: str) -> str:
        names = [part.strip() for part in text.split(",") if part.strip()]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"classes = {text!r}: {twice[0]!r} is listed twice")
        if text and len(names) < 2:
            raise ValueError(f"classes = {text!r}: a cohort needs two, as 'LumA,LumB'")
        return text

    @model_validator(mode="after")
    def _bounds_enclose(self) -> Self:
        low, high = self.value_low, self.value_high
        if not -1e9 < low < high < 1e9:
            raise ValueError(
                f"value-low = {low:g} and value-high = {high:g}: the public bounds must be "
                "numbers below 1e9 in this order"
            )
        if high - low < LEAST_WIDTH * max(1.0, abs(low), abs(high)):
            raise ValueError(
                f"value-low = {low:g} and value-high = {high:g}: the public bounds are too close "
                "for values in float32 to be told apart; set wider ones"
            )
        if self.expression == "counts" and low:
            raise ValueError(f"value-low = {low:g}: counts begin at 0; leave it out")
        if self.most_records and self.privacy_unit != "donor":
            raise ValueError(
                f"most-records = {self.most_records} with privacy-unit = record, which is one "
                "record each: leave it out, or set privacy-unit = donor"
            )
        return self

    def require_privacy(self) -> None:
        """Refuse what is no privacy of a run of this task.

        Raises
        ------
        ConfigError
            Epsilon or delta is absent or absurd.
        """
        if not self.private:
            if self.epsilon:
                raise ConfigError(
                    f"epsilon = {self.epsilon:g} with noise = off, which has none: leave one out"
                )
            return
        if not self.epsilon:
            raise ConfigError("epsilon = 0: give the privacy of the whole run, usual are 0.5 to 10")
        if math.isinf(self.epsilon) and self.epsilon > 0:
            raise ConfigError("epsilon = inf: a run without privacy says so by noise = off")
        # It brings scipy, which nothing else here needs.
        from common.privacy.composition import check_stated

        check_stated(self.epsilon, self.delta)


def options_in(text: str) -> dict[str, Any]:
    """What ``generator-options`` says, as the inside of a TOML inline table.

    Raises
    ------
    ValueError
        It is not one.
    """
    try:
        return tomllib.loads(f"x = {{{text}}}")["x"]
    except (tomllib.TOMLDecodeError, KeyError) as error:
        raise ValueError(
            f"generator-options = {text!r}: write them as 'bins = 8, edges = \"public\"' ({error})"
        ) from None
