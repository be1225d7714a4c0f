"""A site that comes later: its file, read for a published bundle, with no other site online."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from client.model import model_at
from client.site import Site
from common.bundle import Bundle
from common.config import RunConfig
from common.data.h5ad import H5ad
from common.data.padding import Padding, allowed_padding
from common.errors import DiskError, InputError
from common.node_config import NodeConfig
from common.policy import SitePolicy
from common.presets import Preset
from report.label_page import LABELLED
from report.site_page import CORRECTED

Tell = Callable[[str], None]
# A folder has one of them: its report.html tells of it.
RESULTS = (CORRECTED, LABELLED)
MEND = "make room or give another folder"


@dataclass(frozen=True)
class LaterSite:
    """A site with the bundle that it uses.

    Parameters
    ----------
    site
        It reads its file as the site of a run does, with the settings of the bundle's run.
    bundle
        The model, genes, scaling and references.
    lacks
        What the file lacks of the bundle's genes.
    """

    site: Site
    bundle: Bundle
    lacks: Padding

    def model(self) -> tuple[nn.Module, Preset, torch.device]:
        """The bundle's network, its preset, and the site's device."""
        n_genes = len(self.bundle.panel.genes)
        return model_at(self.site, self.bundle.preset, n_genes, self.bundle.state)


@contextlib.contextmanager
def later_site(
    bundle_dir: Path,
    file: Path,
    out: Path,
    *,
    task: str,
    settings: dict[str, Any],
    reading: dict[str, Any],
    tell: Tell,
    needs_types: bool = True,
) -> Iterator[LaterSite]:
    """Check the bundle, the file and the output folder before anything is computed.

    Parameters
    ----------
    bundle_dir
        The folder ``bundle/`` of a run.
    file
        The site's .h5ad.
    out
        Where the result goes; made if it does not exist. What is kept meanwhile goes there too, and
        is gone in the end.
    task
        Of the bundle.
    settings
        Settings of a run that replace those of the bundle's, by their keys.
    reading
        Entries of the site's node config: how the file is read, and the device.
    tell
        Is told each step.
    needs_types
        Without it the file need not have the column of cell types, unless ``reading`` names it;
        "" there reads none.

    Raises
    ------
    InputError
        The bundle or the file cannot be used, or the folder holds a result already.
    GeneError
        The file lacks too many of the bundle's genes.
    DiskError
        The folder cannot be written.
    """
    bundle = Bundle.load(bundle_dir, task)
    if not file.is_file():
        raise InputError(f"there is no file {file}")
    for result in (out / name for name in RESULTS):
        if result.exists():
            raise InputError(
                f"{result} exists and is left as it is: give another folder, or remove it"
            )
    config = RunConfig.parse({**bundle.card["settings"], **settings}, where="settings")
    with _scratch(out) as cache:
        node = {"data-path": str(file), "output-dir": str(out), "cache-dir": str(cache)}
        types = reading.get("cell-type-key")
        if not needs_types and types == "":
            reading = {key: value for key, value in reading.items() if key != "cell-type-key"}
        node = NodeConfig.parse({**node, **reading}, where="settings")
        if not needs_types:
            node = _with_types_if_any(node, types)
        site = Site(config, node, SitePolicy(), simulated=False)
        tell(f"reading {file}")
        try:
            lacks = allowed_padding(bundle.panel, {site.name: site.file.genes}, config.max_padded)[
                site.name
            ]
            yield LaterSite(site, bundle, lacks)
        finally:
            site.drop_cache()


def _with_types_if_any(node: NodeConfig, named: str | None) -> NodeConfig:
    """Types of the column that was named; of the default one if none was and the file has it."""
    default = node.cell_type_key
    if named or (named is None and default in H5ad.open(node.data_path).obs.columns):
        return node
    return node.model_copy(update={"cell_type_key": ""})


@contextlib.contextmanager
def _scratch(out: Path) -> Iterator[Path]:
    made = not out.exists()
    try:
        out.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(prefix=".later-", dir=out)
    except OSError as error:
        raise DiskError(out, error, mend=MEND) from error
    try:
        with folder as name:
            yield Path(name)
    except DiskError as error:
        raise DiskError(error.path, error.error, mend=MEND) from error
    finally:
        if made and not any(out.iterdir()):
            out.rmdir()
