"""Options that say how a site's file is read: the same in every command that reads one."""

from typing import Annotated

import typer

from common.config import RunConfig

DEFAULT = RunConfig()

BatchKey = Annotated[str, typer.Option(help="obs column; '' = one batch")]
CellTypeKey = Annotated[str, typer.Option(help="obs column")]
Layer = Annotated[str, typer.Option(help="auto, X, raw or a layer's name")]
GeneColumn = Annotated[str, typer.Option(help="var column; '' = var_names")]
LabelOrigin = Annotated[str, typer.Option(help="of the cell types: curated or predicted")]
LabelOriginKey = Annotated[str, typer.Option(help="obs column with these words by cell")]
ConfidenceKey = Annotated[str, typer.Option(help="obs column; of predicted cell types")]
MinConfidence = Annotated[float, typer.Option(help="one below it does not steer")]
