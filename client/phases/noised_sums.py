"""noised_sums: a stage's statistics of the site's units, with its share of the noise."""

from client.outbox import Outbox
from client.release import Release
from client.site import Site
from client.units import SiteUnits, statistics_of
from common.synthesis.of_run import generator_of, schema_of
from common.synthesis.release import require_possible
from common.synthesis.state_check import require_state
from strategies.records import Request


def run(site: Site, request: Request, outbox: Outbox) -> None:
    """Answer one stage, once: by the run's settings, of which no message changes any."""
    values = request.values
    classes = site.config.public_classes or values["classes"]
    schema = schema_of(site.config, values["genes"], classes)
    generator = generator_of(site.config, schema)
    n_sites, number = values["sum"]["n_sites"], values["round"]
    release = Release(site, generator, number, n_sites, outbox.run)
    release.require_new()
    require_possible(site.config, generator, n_sites)
    state = request.arrays("state")
    require_state(generator, release.stage, state)
    units = SiteUnits(site, schema)
    statistics = statistics_of(units, generator, release.stage, state)
    outbox.masked("noised", release.noised(statistics, outbox))
    outbox.local(
        stage=release.stage.name,
        n_units=units.n_units,
        n_records=len(units.rows),
        n_left_out=units.n_left_out,
        n_clipped=units.n_clipped,
    )
    if number == len(generator.stages):
        site.drop_counts(schema.genes)
        if site.simulated:
            site.drop_cache()
