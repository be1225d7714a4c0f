"""Tables of settings with unknown keys refused, and how a site's file is read, in both of them."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from common.errors import ConfigError
from common.grid import country_factor
from common.registry import did_you_mean


def kebab(name: str) -> str:
    """A name as the user writes it."""
    return name.replace("_", "-")


CarbonAction = Literal["none", "delay", "fewer-epochs"]
LabelOrigin = Literal["curated", "predicted"]
Device = Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")]


class Settings(BaseModel):
    """A table of settings: written with dashes, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=kebab)

    @classmethod
    def keys(cls) -> list[str]:
        """The keys as the user writes them."""
        return [kebab(name) for name in cls.model_fields]

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


class EnergySettings(Settings):
    """Where the electricity is from: a site's own word, and the coordinator's own."""

    country: str = Field(
        "", description="ISO code of three letters, for emissions; '' = the world's mean"
    )
    grid_factor: float = Field(
        0.0, ge=0, description="own kg CO2e per kWh of electricity; 0 = the country's"
    )

    @field_validator("country")
    @classmethod
    def _country_is_known(cls, country: str) -> str:
        country_factor(country)
        return country

    @property
    def emission_factor(self) -> float:
        """Kilograms of CO2e per kWh."""
        return self.grid_factor or country_factor(self.country)


class CarbonSettings(Settings):
    """When a site works: its own word, and the run's for simulated sites (docs/carbon.md)."""

    carbon_file: str = Field(
        "", description="CSV of the grid's carbon intensity or renewable share by the hour"
    )
    carbon_action: CarbonAction = Field(
        "none",
        description="in a dirty hour: none, delay a round of training, or train fewer-epochs",
    )
    carbon_limit: float = Field(
        0.0,
        ge=0,
        description="an hour is dirty above so many g CO2e per kWh, or below this renewable share; "
        "0 = the file's median",
    )
    carbon_max_delay: float = Field(
        21600.0, ge=0, description="carbon-action = delay: seconds, of all rounds of a run together"
    )

    @model_validator(mode="after")
    def _has_a_file(self) -> Self:
        if self.carbon_action != "none" and not self.carbon_file:
            raise ValueError(
                f"carbon-action = {self.carbon_action} goes by the hours of a file: name it as "
                "carbon-file (docs/carbon.md), or leave carbon-action out"
            )
        return self


class ReadingSettings(Settings):
    """How a file is read: settings of a simulation's run, and of a real site itself.

    Which columns of its file are read, and so which names it publishes, is a real site's own word,
    as is what it says of its labels.
    """

    batch_key: str = Field("batch", description="obs column; '' = a site is one batch")
    cell_type_key: str = Field("cell_type", min_length=1, description="obs column")
    layer: str = Field("auto", description="auto, X, raw, or a layer's name: where the counts are")
    gene_column: str = Field("", description="var column with the gene names; '' = var_names")
    label_origin: LabelOrigin = Field(
        "curated", description="curated or predicted: where the cell types are from"
    )
    label_origin_key: str = Field(
        "",
        description="obs column with curated or predicted for each cell; '' = label-origin of all",
    )
    confidence_key: str = Field("", description="obs column, 0 to 1: of predicted cell types")
    min_confidence: float = Field(
        0.0,
        ge=0,
        le=1,
        description="a cell type predicted with less does not steer the correction",
    )

    @model_validator(mode="after")
    def _confidences_are_read(self) -> Self:
        key, least = self.confidence_key, self.min_confidence
        if least and not key:
            raise ValueError(
                f"min-confidence = {least:g}: name the obs column with the confidences as "
                "confidence-key"
            )
        if key and self.label_origin == "curated" and not self.label_origin_key:
            raise ValueError(
                f"confidence-key = {key!r} is of predicted cell types, and label-origin says that "
                "all are curated; set label-origin = predicted, or label-origin-key to an obs "
                "column"
            )
        return self


class UnitSettings(Settings):
    """Whose a record is: like :class:`ReadingSettings`, a real site's own word."""

    donor_key: str = Field(
        "", description="synthesize: obs column that names a record's donor, for privacy-unit"
    )
    covariate_keys: str = Field(
        "",
        description="synthesize: obs columns whose values make classes of a label, as 'sex,stage'",
    )


CARBON = tuple(CarbonSettings.model_fields)
READING = tuple(ReadingSettings.model_fields)
UNITS = tuple(UnitSettings.model_fields)
