"""`syncytium sample`: more synthetic records of a published cohort."""

from pathlib import Path
from typing import Annotated

import typer

from cli.console import console, shown
from common.errors import ConfigError

DEFAULT_SEED = 42


def sample(
    bundle: Annotated[
        Path, typer.Argument(help="the folder bundle/ of a finished run of synthesize")
    ],
    out: Annotated[Path, typer.Option(help="the .h5ad to write; must not exist yet")],
    n_per_class: Annotated[
        int, typer.Option(min=0, help="records of each class; 0 = as the noisy counts say")
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help="of what is drawn")] = DEFAULT_SEED,
) -> None:
    """Sample more records of a synthetic cohort, which costs no further privacy.

    BUNDLE is the folder bundle/ of a finished run of synthesize. The file has
    the same statement of privacy as the run's own.
    """
    import numpy as np

    from common.synthesis.cohort import write_cohort
    from common.synthesis.published import PublishedCohort, counts_of

    out = out.expanduser().absolute()
    if out.suffix != ".h5ad" or out.exists():
        fault = "exists and is left as it is" if out.exists() else "does not end with .h5ad"
        raise ConfigError(f"--out {out} {fault}: give the name of a new .h5ad")
    cohort = PublishedCohort.load(bundle.expanduser())
    generator, state = cohort.generator, cohort.state
    counts = counts_of(generator, state, n_per_class)
    values, classes = generator.sample(state, counts, np.random.default_rng(seed))
    told = {"label": cohort.label, "privacy": cohort.privacy}
    write_cohort(out, values, classes, generator.schema, **told)
    screen = console()
    screen.print(
        f"[bold green]done[/]: {len(classes):,} records of {generator.schema.n_classes} classes by "
        f"{generator.name}"
    )
    screen.print(f"cohort: {shown(out)}", markup=False)
