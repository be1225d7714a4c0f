"""A site: where its file, its results and its cache are, and its preprocessed matrix."""

import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import scipy.sparse as sp

from client.participants import ParticipantRecord
from client.simulated_file import simulated_file
from common.config import RunConfig, run_folder
from common.data.csr import open_csr, row_chunks, write_csr
from common.data.genes import columns_of
from common.data.held_out import Split, split_cells
from common.data.normalise import library_sizes, log1p_cp10k
from common.data.reader import SiteFile
from common.energy import Meter, first_of_its_process
from common.errors import ConfigError, InputError
from common.node_config import NodeConfig
from common.panel import Panel
from common.policy import SitePolicy
from common.power import power_model
from common.secure.backend import SiteSum
from common.secure.guard import Guard
from common.secure.off import OffSite
from common.settings import CARBON, READING, UNITS
from common.site_key import read_site_key

if TYPE_CHECKING:
    from common.data.matrix import ExpressionMatrix

logger = logging.getLogger("syncytium.site")

FORMAT = 1
OUTBOX = "outbox.jsonl"


@lru_cache(maxsize=16)
def _open(path: Path, fingerprint: str, **settings: Any) -> SiteFile:
    return SiteFile.open(path, **settings)


_open_csr = lru_cache(maxsize=16)(open_csr)


@dataclass(frozen=True)
class Site:
    """One site for the length of one message.

    Parameters
    ----------
    config, node
        The run's settings and the site's own.
    policy
        Its rules.
    simulated
        The site is one of several on one machine, made by Flower's simulation.
    sums
        Its half of the run's sums.
    """

    config: RunConfig
    node: NodeConfig
    policy: SitePolicy
    simulated: bool
    sums: SiteSum = field(default_factory=OffSite)

    @classmethod
    def from_context(
        cls, run_config: dict[str, Any], node_config: dict[str, Any], run_id: int
    ) -> Self:
        """The site that Flower's context describes.

        Raises
        ------
        ConfigError
            A key or value is wrong, or a simulation has not one file per site.
        PolicyError
            The site's policy does not allow the run.
        InputError
            The simulation's data folder does not exist.
        """
        if not is_simulated(node_config):
            node, config = _own_config(node_config), _run_config(run_config)
            policy = SitePolicy.read(node.policy)
            policy.allow(config)
            return cls(config, node, policy, simulated=False)
        config = _run_config(run_config)
        index, n_sites = int(node_config["partition-id"]), int(node_config["num-partitions"])
        out = run_folder(config, run_id)
        path = simulated_file(config, out, index, n_sites)
        node = NodeConfig.parse(
            {
                "data-path": str(path),
                "output-dir": str(out / "sites" / path.stem),
                "device": config.device,
                "country": config.country,
                "grid-factor": config.grid_factor,
                # The coordinator counts that of their one machine.
                "count-ram": False,
                **{k.replace("_", "-"): getattr(config, k) for k in (*READING, *UNITS, *CARBON)},
            },
            where="simulated node",
        )
        return cls(config, node, SitePolicy.of_simulation(config), simulated=True)

    @property
    def name(self) -> str:
        """The site's name: its own choice, or its file's."""
        return self.node.name or Path(self.node.data_path).stem

    @cached_property
    def guard(self) -> Guard:
        """What it insists on in masked sums: its policy, or the run's settings if stricter.

        Raises
        ------
        ConfigError
            Its long-term key cannot be read, or a roster is pinned without one.
        """
        policy = self.policy
        if policy.roster and not self.node.site_key:
            raise ConfigError(
                "the policy pins a roster, and the node config has no site-key: make one with "
                "`syncytium keys`, name it there, and have it entered in every site's roster"
            )
        least = max(policy.min_sites, self.config.min_sites)
        dataset = policy.dataset or Path(self.node.data_path).name
        return Guard(
            site=self.name,
            min_sites=least,
            noise_lost=self.config.noise_lost,
            consistency=policy.consistency or self.config.consistency,
            roster=policy.roster,
            site_key=read_site_key(self.node.site_key) if self.node.site_key else None,
            record=ParticipantRecord(self.state_dir, dataset, policy.differences == "refuse"),
        )

    @cached_property
    def output_dir(self) -> Path:
        """Where the site's results and its log of what it sent are written."""
        return Path(self.node.output_dir).expanduser().resolve()

    @property
    def state_dir(self) -> Path:
        """Where what it remembers of all runs is: sums, and spent privacy."""
        own = self.policy.state_dir
        return Path(own).expanduser() if own else self.output_dir

    @property
    def cache_dir(self) -> Path:
        """Where preprocessed matrices are kept between messages."""
        own = self.node.cache_dir
        return Path(own).expanduser().resolve() if own else self.output_dir / "cache"

    @property
    def outbox_log(self) -> Path:
        """The append-only log of every field that left."""
        return self.output_dir / OUTBOX

    def meter(self) -> Meter:
        """Meters this message from now on."""
        # Simulated sites are on the machine of the run folder.
        folder = self.output_dir.parents[1] if self.simulated else self.output_dir
        node = self.node
        return Meter(
            power_model(folder),
            node.emission_factor,
            ram=node.count_ram,
            device=node.device,
            whole=first_of_its_process(),
        )

    @cached_property
    def keys(self) -> dict[str, str | float]:
        """How the file is read."""
        return {name: getattr(self.node, name) for name in READING}

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the input file's identity (path, size, time of change) and how it is read."""
        path = Path(self.node.data_path).expanduser()
        if not path.is_file():
            raise InputError(
                f"there is no file {path}; set data-path in node-config, or data in the run config"
            )
        stat = path.stat()
        identity = [FORMAT, str(path.resolve()), stat.st_size, stat.st_mtime_ns, self.keys]
        if not self._as_records.get("counted", True):
            identity.append("values")
        return hashlib.blake2b(json.dumps(identity).encode(), digest_size=16).hexdigest()

    @cached_property
    def file(self) -> SiteFile:
        """The site's cells; obs and var are checked on opening."""
        settings = {**self.keys, **self._as_records}
        return _open(Path(self.node.data_path).expanduser(), self.fingerprint, **settings)

    @property
    def _as_records(self) -> dict[str, Any]:
        """How else the file is read where its records are to be synthesized."""
        config, node = self.config, self.node
        if config.task != "synthesize":
            return {}
        return {
            # A batch is of no use there, and few bulk files name one.
            "batch_key": "",
            "counted": config.expression == "counts",
            "donor_key": node.donor_key if config.privacy_unit == "donor" else "",
            "covariate_keys": node.covariate_keys,
        }

    def split(self, share: float) -> Split:
        """Training and validation cells, the same in every round."""
        return split_cells(self.file.batches, share, self.config.seed)

    def matrix(self, panel: Panel) -> "ExpressionMatrix":
        """log1p CP10k of the panel's genes, made once and then read from disk."""
        # It brings torch, which most phases do not need.
        from common.data.matrix import ExpressionMatrix

        folder = self.cache_dir / f"{self.fingerprint[:16]}-{panel.digest[:16]}"
        if not (folder / "n_genes").is_file():
            logger.info("%s: preprocessing %d cells", self.name, self.file.n_cells)
            write_csr(self._log_chunks(panel), len(panel.genes), folder)
            self.drop_counts(panel.vocabulary)
        return ExpressionMatrix(_open_csr(folder), panel.scaling())

    def kept_latent(self, panel: Panel, encoder: str) -> np.ndarray | None:
        """What :meth:`keep_latent` kept for this encoder, if it did."""
        path = self._latent_path(panel, encoder)
        return np.load(path) if path.is_file() else None

    def keep_latent(self, panel: Panel, encoder: str, latent: np.ndarray) -> None:
        """Keep the cells' latents for the correction, in place of any others of this file.

        A disk without room costs a second encoding and nothing else. ``encoder`` is a hash of the
        network's encoder.
        """
        path = self._latent_path(panel, encoder)
        self.drop_latents()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=path.parent) as partial:
                np.save(Path(partial) / path.name, latent)
                (Path(partial) / path.name).replace(path)
        except OSError as error:
            logger.warning("%s: latents are not kept: %s", self.name, error)

    def drop_latents(self) -> None:
        """Remove kept latents: the corrected file has them, and no other run needs them."""
        for path in self.cache_dir.glob(f"{self.fingerprint[:16]}-*-latent.npy"):
            path.unlink(missing_ok=True)

    def _latent_path(self, panel: Panel, encoder: str) -> Path:
        scaling = hashlib.blake2b(panel.mean.tobytes() + panel.sd.tobytes(), digest_size=8)
        parts = (self.fingerprint[:16], panel.digest[:16], scaling.hexdigest(), encoder[:16])
        return self.cache_dir / f"{'-'.join(parts)}-latent.npy"

    def counts(self, vocabulary: Sequence[str]) -> sp.csr_matrix:
        """Counts of the agreed genes on memory maps, kept until :meth:`matrix` is made of them.

        The input file is read, decompressed and checked once for both.
        """
        folder = self._counts_folder(vocabulary)
        if not (folder / "n_genes").is_file():
            columns = columns_of(vocabulary, self.file.genes)
            chunks = (counts for _, counts in self.file.iter_counts(columns))
            write_csr(chunks, len(vocabulary), folder)
        return open_csr(folder)

    def drop_counts(self, vocabulary: Sequence[str]) -> None:
        """Remove what :meth:`counts` kept."""
        shutil.rmtree(self._counts_folder(vocabulary), ignore_errors=True)

    def _counts_folder(self, vocabulary: Sequence[str]) -> Path:
        names = hashlib.blake2b(json.dumps(list(vocabulary)).encode(), digest_size=8).hexdigest()
        return self.cache_dir / f"{self.fingerprint[:16]}-{names}-counts"

    def _log_chunks(self, panel: Panel):
        counts = self.counts(panel.vocabulary)
        chosen = columns_of(panel.genes, panel.vocabulary)
        for chunk in row_chunks(counts):
            yield log1p_cp10k(chunk[:, chosen], library_sizes(chunk))

    def drop_cache(self) -> None:
        """Remove the preprocessed matrices."""
        shutil.rmtree(self.cache_dir, ignore_errors=True)
        # Open maps would keep the removed files' room taken.
        _open_csr.cache_clear()


_SIMULATION_KEYS = ("partition-id", "num-partitions")


def _own_config(node_config: dict[str, Any]) -> NodeConfig:
    own = {k: v for k, v in node_config.items() if k not in _SIMULATION_KEYS}
    return NodeConfig.parse(own, where="node config")


def _run_config(run_config: dict[str, Any]) -> RunConfig:
    try:
        return RunConfig.parse(run_config, where="run config")
    except ConfigError as error:
        # It names nothing but what the coordinator wrote itself.
        raise ConfigError(str(error), public=str(error)) from None


def outbox_log_of(node_config: dict[str, Any]) -> Path | None:
    """A real site's log, whatever else of its settings is wrong; None if that cannot be told."""
    if is_simulated(node_config) or not isinstance(node_config.get("output-dir", ""), str):
        return None
    folder = node_config.get("output-dir") or NodeConfig.model_fields["output_dir"].default
    return Path(folder).expanduser().resolve() / OUTBOX


def is_simulated(node_config: dict[str, Any]) -> bool:
    """Whether Flower's simulation made this node; one with a file of its own is real."""
    return "partition-id" in node_config and "data-path" not in node_config
