"""A site's policy: what it allows, whatever a run's coordinator asks."""

import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field

from common.config import RunConfig
from common.errors import ConfigError, PolicyError
from common.policy_privacy import PrivacyRules

MB = 10**6
TASKS = ("correct", "classify", "synthesize")

PublicKey = Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")]


class SitePolicy(PrivacyRules):
    """The rules of one site, in a TOML file that its node config names."""

    tasks: tuple[Literal["correct", "classify", "synthesize"], ...] = Field(
        TASKS, description="tasks the site takes part in"
    )
    min_sites: int = Field(
        3, ge=2, description="fewest sites in a sum; with 2, each sees the other's part"
    )
    require_masking: bool = Field(
        True,
        description="refuse runs with secure-sum = off, which show this site's part of every sum",
    )
    consistency: bool = Field(
        False, description="refuse runs whose sites do not sign the list of a sum's survivors"
    )
    min_label_sites: int = Field(
        3, ge=1, description="classify: fewest sites that hold a label that is a class"
    )
    min_reference_cells: int = Field(
        20, ge=1, description="fewest cells of a batch whose mean latent may become a reference"
    )
    largest_message_mb: float = Field(
        1000.0, gt=0, description="largest message it takes or sends, in MB (10^6 bytes)"
    )
    differences: Literal["refuse", "warn"] = Field(
        "refuse",
        description="refuse, or warn of, a sum of these cells over other sites than in an earlier "
        "run: the difference would show a site's part",
    )
    dataset: str = Field(
        "",
        description="name of these cells in the record of sums and the privacy budget, kept when "
        "cells are added; '' = the data file's name, in the record alone",
    )
    state_dir: str = Field(
        "",
        description="folder of the record of sums and of the privacy budget; '' = the node "
        "config's output-dir",
    )
    roster: dict[str, PublicKey] = Field(
        {}, description="pinned sites: public key (`syncytium keys`) by name; empty: any site"
    )

    @classmethod
    def read(cls, path: str) -> Self:
        """The policy in a file; the built-in one for "".

        Raises
        ------
        ConfigError
            The file is absent or not TOML, a rule is unknown or a value does not fit.
        """
        if not path:
            return cls()
        file = Path(path).expanduser()
        try:
            rules = tomllib.loads(file.read_text())
        except OSError as error:
            raise ConfigError(f"policy = {path!r} cannot be read: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"policy {file} is not TOML: {error}") from None
        return cls.parse(rules, where=f"policy {file}")

    @classmethod
    def of_simulation(cls, config: RunConfig) -> Self:
        """A simulated site's: all that the run asks for."""
        return cls(
            **{
                "min-reference-cells": 1,
                "min-label-sites": 1,
                "min-sites": max(config.min_sites, 2),
                "require-masking": False,
                "differences": "warn",
            }
        )

    def allow(self, config: RunConfig) -> None:
        """Let a run with these settings take place here.

        Raises
        ------
        PolicyError
            A rule forbids it.
        """
        if config.task not in self.tasks:
            raise PolicyError(
                f"policy rule tasks = {', '.join(self.tasks)}: the run's task is {config.task}"
            )
        if config.secure_sum == "off" and self.require_masking:
            raise PolicyError(
                "policy rule require-masking: the run has secure-sum = off, which would show this "
                "site's part of every sum"
            )
        if self.consistency and not (config.consistency or config.secure_sum == "crypten"):
            raise PolicyError(
                "policy rule consistency: the run has consistency = false, and the site helps to "
                "open only what the survivors signed"
            )
        holders = config.label_sites or config.min_sites
        if config.task == "synthesize":
            self.allow_release(config)
        agreed = config.task == "classify" or (config.task == "synthesize" and not config.classes)
        if agreed and holders < self.min_label_sites:
            raise PolicyError(
                f"policy rule min-label-sites = {self.min_label_sites}: the run makes classes of "
                f"labels of {holders} sites; set {_holders_key(config)} = {self.min_label_sites} "
                "in the run"
            )
        if config.min_reference_cells < self.min_reference_cells:
            raise PolicyError(
                f"policy rule min-reference-cells = {self.min_reference_cells}: the run has "
                f"min-reference-cells = {config.min_reference_cells}"
            )

    def allow_bytes(self, n_bytes: int, direction: str) -> None:
        """Let a message of a size pass.

        Raises
        ------
        PolicyError
            It is larger than the largest message.
        """
        if n_bytes > self.largest_message_mb * MB:
            raise PolicyError(
                f"policy rule largest-message-mb = {self.largest_message_mb:g}: a message of "
                f"{n_bytes / MB:.1f} MB {direction}"
            )

    @classmethod
    def commented(cls) -> str:
        """A policy file with every rule at its default and what it means."""
        lines = [
            "# What this site allows, whatever a run's coordinator asks.",
            '# Name this file in the node config: policy="/path/to/policy.toml"',
        ]
        for name, field in cls.model_fields.items():
            key = name.replace("_", "-")
            lines += ["", f"# {field.description}"]
            lines += (
                [f"[{key}]", '# hospital-a = "64 hexadecimal digits"']
                if name == "roster"
                else [f"{key} = {_toml(field.default)}"]
            )
        return "\n".join(lines) + "\n"


def _holders_key(config: RunConfig) -> str:
    return "label-sites" if config.task == "classify" else "min-sites"


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(part) for part in value)}]"
    return f'"{value}"' if isinstance(value, str) else f"{value}"
