"""synthesize: a synthetic cohort of noisy sums, and a bundle to sample more of.

References
----------
Filienko, De Cock, Pentyala, arXiv:2604.27456 (the task, by other means: docs/synthesize.md).
"""

import logging
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from common.classification.vocabulary import LabelVocabulary, agree_labels
from common.config import RunConfig
from common.data.genes import agree, strip_version
from common.errors import ConfigError, GeneError
from common.synthesis.cohort import write_cohort
from common.synthesis.generator import Generator, State
from common.synthesis.of_run import generator_of, require_generator, schema_of
from common.synthesis.published import counts_of, publish
from common.synthesis.statement import as_json, privacy_statement
from common.synthesis.usefulness import usefulness
from server import preparation
from server.energy import sum_of_sites
from server.federation import Federation
from server.noised_stages import NoisedStages, Released
from server.runs import RunFolder
from server.session import Session
from strategies.describe import SiteDescription

logger = logging.getLogger("syncytium.server")
FILE, BUNDLE = "synthetic.h5ad", "bundle"


def run(federation: Federation, config: RunConfig, folder: RunFolder, run_id: str) -> None:
    """The phases in their order."""
    workflow = Synthesize(federation, config, folder, run_id)
    sites = workflow.describe()
    workflow.session.begin()
    classes = workflow.agree_on_classes(sites)
    generator = workflow.generator(workflow.choose_genes(sites), classes)
    state, released = workflow.release(generator)
    workflow.publish(generator, state, released)
    sum_of_sites(workflow.session, folder)


@dataclass
class Synthesize:
    """The workflow's phases, each from plain values to plain values."""

    federation: Federation
    config: RunConfig
    folder: RunFolder
    run_id: str

    def __post_init__(self) -> None:
        require_generator(self.config)
        if self.config.private and self.config.secure_sum == "off":
            logger.warning(
                "secure-sum = off: the coordinator sees each site's vector with one share of the "
                "noise, which is too little; epsilon holds for the cohort alone"
            )
        self.listed = _listed_genes(self.config)
        self.session = Session(self.federation, self.config, self.run_id)
        self.reached = self.folder.checkpoint

    def describe(self) -> list[SiteDescription]:
        """What each site has, by name; each has seen that its budget holds the whole run."""
        return preparation.describe(self.federation, self.config, self.folder, self.reached)

    def agree_on_classes(self, sites: list[SiteDescription]) -> tuple[str, ...]:
        """The public list of the settings, or the labels that enough sites hold.

        Raises
        ------
        InputError
            A label has two spellings, or fewer than two are held by sites enough.
        """
        if self.config.classes:
            self.folder.note(classes=list(self.config.public_classes))
            return self.config.public_classes
        if (kept := self.reached.get("labels")) is None:
            candidates = sorted({name for site in sites for name in site.cell_types})
            groups = [[name] for name in candidates]
            summed = self.session.sum("labels", values={"groups": groups})
            holders = np.rint(summed.values["n_holders"]).astype(int)
            least = self.config.min_sites
            agreed = agree_labels(candidates, holders, min_holders=least, rare="leave-out")
            kept = asdict(agreed)
            self.reached.save("labels", kept)
        vocabulary = LabelVocabulary(**{key: tuple(names) for key, names in kept.items()})
        left_out = {"left_out_labels": list(vocabulary.left_out)} if vocabulary.left_out else {}
        self.folder.note(classes=list(vocabulary.classes), **left_out)
        return vocabulary.classes

    def choose_genes(self, sites: list[SiteDescription]) -> tuple[str, ...]:
        """The genes that every site has, or those of ``gene-list``.

        Raises
        ------
        GeneError
            There is none, or a site lacks a listed one.
        """
        shared = agree({site.site: site.genes for site in sites}).genes
        if self.listed:
            lacking = sorted(set(self.listed) - set(shared))
            if lacking:
                without = [site.site for site in sites if lacking[0] not in site.genes]
                raise GeneError(
                    f"gene-list: {len(lacking)} of {len(self.listed)} genes are not at every site, "
                    f"such as {lacking[0]!r}, which {', '.join(without)} lacks; leave them out"
                )
            shared = self.listed
        self.folder.note(n_genes=len(shared))
        return shared

    def generator(self, genes: tuple[str, ...], classes: tuple[str, ...]) -> Generator:
        """The run's generator for these genes and classes.

        Raises
        ------
        ConfigError
            So few units as are expected give nothing of use at this epsilon.
        """
        config = self.config
        if config.expected_units:
            told = usefulness(
                config.expected_units, len(classes), config.stated_epsilon, config.delta
            )
            self.folder.note(usefulness={"grade": told.grade, "why": str(told)})
            if told.grade == "none":
                raise ConfigError(
                    f"epsilon = {config.epsilon:g} for {config.expected_units} expected-units of "
                    f"{len(classes)} classes: {told}; nothing is spent (leave expected-units out "
                    "to make the cohort all the same)"
                )
            logger.info("%s", told)
        made = generator_of(config, schema_of(config, genes, classes))
        self.folder.note(generator=made.name, options=dict(made.options), n_rounds=len(made.stages))
        return made

    def release(self, generator: Generator) -> tuple[State, list[Released]]:
        """All stages, each a sum with noise."""
        shared = (self.session, self.config, self.folder, self.reached)
        return NoisedStages(*shared, generator).release()

    def publish(self, generator: Generator, state: State, released: list[Released]) -> None:
        """Write the bundle and the cohort, with what they protect."""
        config = self.config
        releases = [(one.stage, one.noise, one.n_sites, one.survivors) for one in released]
        privacy = privacy_statement(config, generator, releases, self.folder.versions)
        self.folder.note(privacy=as_json(privacy))
        told = {"label": config.cell_type_key, "privacy": privacy}
        about = {"run": self.run_id, "versions": self.folder.versions, **told}
        digest = publish(self.folder.path / BUNDLE, generator, state, **about)
        self.folder.note(bundle=digest)
        counts = counts_of(generator, state, config.samples_per_class)
        values, classes = generator.sample(state, counts, np.random.default_rng(config.seed))
        write_cohort(self.folder.path / FILE, values, classes, generator.schema, **told)
        if config.private and not config.expected_units:
            # Of what was released anyway.
            n_units = max(int(np.rint(generator.class_counts(state).sum())), 1)
            told = usefulness(n_units, generator.schema.n_classes, config.epsilon, config.delta)
            self.folder.note(usefulness={"grade": told.grade, "why": str(told)})
        by_class = dict(zip(generator.schema.classes, counts.tolist(), strict=True))
        self.folder.note(synthetic=by_class, n_synthetic=int(counts.sum()))


def _listed_genes(config: RunConfig) -> tuple[str, ...]:
    """The genes of ``gene-list``, in its order; none without one.

    Raises
    ------
    ConfigError
        It cannot be read, or holds fewer than two or one twice.
    """
    if not config.gene_list:
        return ()
    path = Path(config.gene_list).expanduser()
    if not path.is_absolute():
        raise ConfigError(f"gene-list = {config.gene_list!r}: `flwr run` needs an absolute path")
    try:
        lines = [line.strip() for line in path.read_text().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"gene-list = {config.gene_list!r} cannot be read: {error}") from None
    genes = tuple(strip_version(line) for line in lines if line)
    if len(set(genes)) < max(len(genes), 2):
        raise ConfigError(
            f"gene-list = {config.gene_list!r} has {len(genes)} genes, {len(set(genes))} of them "
            "different: give two or more, each once"
        )
    return genes
