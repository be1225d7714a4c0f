"""What every task begins with: the sites describe themselves, and agree on genes and scaling."""

from common.config import RunConfig
from common.data.genes import agree
from common.data.hvg import highly_variable
from common.data.moments import GeneMoments
from common.errors import InputError, SiteLost
from common.panel import Panel
from server.checkpoint import Checkpoint, digest_of
from server.federation import Federation
from server.runs import RunFolder
from server.session import Session
from strategies.by_name import enough_for
from strategies.describe import Describe, SiteDescription


def describe(
    federation: Federation, config: RunConfig, folder: RunFolder, reached: Checkpoint
) -> list[SiteDescription]:
    """What each site has, by name.

    Raises
    ------
    InputError
        A resumed run finds other sites than it began with.
    """
    sites = _descriptions(federation)
    _same_as_before(sites, reached)
    federation.introduce({site.node_id: site.site for site in sites})
    folder.note(
        sites={
            s.site: {"node": str(s.node_id), "n_genes": len(s.genes), "versions": s.versions}
            for s in sites
        }
    )
    enough_for(config, len(sites))
    return sites


def _descriptions(federation: Federation) -> list[SiteDescription]:
    while True:
        try:
            return federation.run(Describe())
        except SiteLost:
            federation.wait_for_lost()


def _same_as_before(sites: list[SiteDescription], reached: Checkpoint) -> None:
    described = {s.site: digest_of([s.genes, s.cell_types]) for s in sites}
    before = reached.get("sites", described)
    if others := sorted(set(before) ^ set(described)):
        raise InputError(
            f"the run began with {', '.join(before)} and {', '.join(others)} make the "
            "difference now: resume it with the same sites, or begin anew in another folder"
        )
    changed = sorted(site for site in before if before[site] != described[site])
    if changed:
        raise InputError(
            f"the genes or cell types of {', '.join(changed)} changed since the run began: "
            "begin anew in another folder"
        )
    reached.save("sites", described)


def choose_genes(
    session: Session,
    config: RunConfig,
    folder: RunFolder,
    reached: Checkpoint,
    sites: list[SiteDescription],
) -> tuple[Panel, int]:
    """Agree on genes, then choose and scale the most variable from summed moments.

    Returns
    -------
    panel, n_cells
        Genes and scaling, and the cells of all sites.
    """
    if kept := reached.get("panel"):
        scaling = reached.arrays("panel")
        names = tuple(kept["vocabulary"]), tuple(kept["genes"])
        return Panel(*names, scaling["mean"], scaling["sd"]), kept["n_cells"]
    vocabulary = agree(
        {site.site: site.genes for site in sites},
        join=config.gene_join,
        max_padded=config.max_padded,
        min_holders=config.min_sites,
    )
    summed = session.sum("moments", values={"vocabulary": vocabulary.genes})
    n_cells = summed.count("n_cells")
    moments = GeneMoments(**{**summed.values, "n_cells": n_cells})
    chosen = highly_variable(moments, config.n_top_genes)
    mean, sd = moments.log_mean_sd()
    genes = tuple(vocabulary.genes[i] for i in chosen)
    folder.note(
        n_cells=n_cells,
        n_vocabulary=len(vocabulary.genes),
        n_genes=len(genes),
        padded=dict(vocabulary.padded),
    )
    panel = Panel(vocabulary.genes, genes, mean[chosen], sd[chosen])
    names = {"vocabulary": list(panel.vocabulary), "genes": list(panel.genes)}
    scaling = {"panel": {"mean": panel.mean, "sd": panel.sd}}
    reached.save("panel", {**names, "n_cells": n_cells}, scaling)
    return panel, n_cells
