"""A run's model that comes from a bundle and is not trained: FedscGen's inclusion of a new study.

Genes, scaling and network are the bundle's; the references are made anew by all sites of the run,
so that a new one may be the dominant site of a cell type. The decoder's linear path is not refitted
either: then the model would be another one, and a site that corrects itself from the bundle alone
(``syncytium join``) would no longer speak of the same expression.

References
----------
Bakhtiari et al. 2025 (FedscGen), doi:10.1186/s13059-025-03684-9.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from common.bundle import Bundle
from common.config import RunConfig
from common.errors import ConfigError
from common.models.build import restore_model
from common.presets import Preset, aligning
from common.strategy_names import SETTINGS
from server.checkpoint import Checkpoint

# What the bundle has decided, and what is of training alone.
DECIDED = (
    "hidden",
    "vae_form",
    "latent_dim",
    "n_top_genes",
    "gene_join",
    "rounds",
    "local_epochs",
    "allow_fewer_epochs",
    "batch_size",
    "learning_rate",
    "patience",
    "precision",
    "prune_share",
    "prune_round",
    "strategy",
    *SETTINGS,
)


@dataclass(frozen=True)
class FrozenModel:
    """A bundle whose model a run takes as it is.

    Parameters
    ----------
    path
        Of the bundle.
    bundle
        What is in it; its references are not used.
    preset
        Its network, and how this run uses the latents.
    """

    path: Path
    bundle: Bundle
    preset: Preset

    def require_unchanged(self, checkpoint: Checkpoint) -> None:
        """As :meth:`~server.checkpoint.Checkpoint.require_same_bundle`."""
        checkpoint.require_same_bundle("frozen", self.bundle.digest, self.path)


def require_frozen_settings(config: RunConfig) -> None:
    """Refuse settings that a run with ``model`` does not read.

    Raises
    ------
    ConfigError
        It names them all; or the path is relative.
    """
    fields = RunConfig.model_fields
    given = [name for name in DECIDED if getattr(config, name) != fields[name].default]
    if given:
        keys = ", ".join(name.replace("_", "-") for name in given)
        raise ConfigError(
            f"{keys}: with model = {config.model!r} genes and network are the bundle's and nothing "
            "is trained; leave them out, or leave out model"
        )
    if not Path(config.model).expanduser().is_absolute():
        raise ConfigError(f"model = {config.model!r}: `flwr run` needs an absolute path")


def frozen_model(config: RunConfig) -> FrozenModel:
    """The model of the bundle that a run names.

    Raises
    ------
    ConfigError
        The run sets what the bundle decides.
    InputError
        The bundle is missing, damaged, of another format, task or network.
    """
    require_frozen_settings(config)
    path = Path(config.model).expanduser()
    bundle = Bundle.load(path, config.task)
    made_with = bundle.card.get("preset")
    if made_with != config.preset:
        raise ConfigError(
            f"preset = {config.preset!r}, and the bundle {path} was made with {made_with!r}: set "
            "preset to that"
        )
    preset = replace(bundle.preset, refit_decoder=False, **aligning(config, bundle.preset))
    restore_model(preset, len(bundle.panel.genes), bundle.state)
    return FrozenModel(path, bundle, preset)
