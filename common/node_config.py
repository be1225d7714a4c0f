"""Settings of one site, written by the site itself: Flower's node config."""

from pydantic import Field, field_validator

from common.grid import country_factor
from common.settings import (
    CarbonSettings,
    Device,
    EnergySettings,
    ReadingSettings,
    UnitSettings,
)


class NodeConfig(ReadingSettings, UnitSettings, EnergySettings, CarbonSettings):
    """Settings of one site.

    How its file is read is its own word: the run config's ``SIMULATION_KEYS`` hold for simulated
    sites alone.
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
    count_ram: bool = Field(
        True, description="count the memory's energy; false at all but one of a machine's nodes"
    )

    @field_validator("country")
    @classmethod
    def _country_is_known(cls, country: str) -> str:
        # Told by why_no_emissions: no reason to keep a site out of a run.
        return country

    @property
    def why_no_emissions(self) -> str:
        """Why its emissions are not known, and how to mend it; "" where they are."""
        if self.grid_factor:
            return ""
        try:
            country_factor(self.country)
        except ValueError as error:
            return str(error)
        return ""

    @property
    def emission_factor(self) -> float:
        """Kilograms of CO2e per kWh; 0 where that is not known."""
        return 0.0 if self.why_no_emissions else super().emission_factor
