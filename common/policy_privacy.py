"""A site's rules for releases with differential privacy, whatever a run's coordinator asks."""

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from common.errors import PolicyError
from common.settings import Settings

if TYPE_CHECKING:
    from common.config import RunConfig


class PrivacyRules(Settings):
    """The rules of one site for `synthesize`."""

    max_epsilon: float = Field(
        0.0,
        ge=0,
        le=100,
        description="synthesize: privacy budget of the data set that `dataset` names, over all runs"
        " together; 0 = none, and no part in such a run",
    )
    budget_delta: float = Field(
        1e-5, ge=1e-15, le=1e-2, description="synthesize: the delta at which max-epsilon holds"
    )
    privacy_unit: Literal["record", "donor"] = Field(
        "record",
        description="synthesize: the least that must be protected; donor refuses runs that protect "
        "single records",
    )
    min_colluding: int = Field(
        0,
        ge=0,
        description="synthesize: noise must suffice though so many sites pool what they know",
    )
    allow_no_noise: bool = Field(
        False,
        description="synthesize: take part without privacy: noise = off, or secure-sum = off, "
        "which shows this site's share of the noise alone",
    )

    @model_validator(mode="after")
    def _budget_is_of_a_name(self) -> Self:
        if self.max_epsilon and not getattr(self, "dataset", ""):
            raise ValueError(
                f"max-epsilon = {self.max_epsilon:g} without dataset: a budget is of a data set's "
                "name, which stays when cells are added; set dataset"
            )
        return self

    def allow_release(self, config: "RunConfig") -> None:
        """Let a run of `synthesize` take place here; its cost is met at the budget.

        Raises
        ------
        PolicyError
            A rule forbids it.
        """
        if not self.allow_no_noise:
            if not config.private:
                raise PolicyError("policy rule allow-no-noise: the run has noise = off")
            if config.secure_sum == "off":
                raise PolicyError(
                    "policy rule allow-no-noise: the run has secure-sum = off, under which a "
                    "site's vector is seen with its own share of the noise alone"
                )
        if not config.private:
            return
        if self.privacy_unit == "donor" and config.privacy_unit == "record":
            raise PolicyError(
                "policy rule privacy-unit = donor: the run has privacy-unit = record, which does "
                "not protect a donor with several"
            )
        if config.noise_colluding < self.min_colluding:
            raise PolicyError(
                f"policy rule min-colluding = {self.min_colluding}: the run's noise holds against "
                f"noise-colluding = {config.noise_colluding} sites"
            )
        if not self.max_epsilon:
            raise PolicyError(
                "policy rule max-epsilon = 0: the site has set no privacy budget for its data set"
            )
