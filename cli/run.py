"""`syncytium run`: `flwr run` with a progress bar and an honest exit code."""

import contextlib
import os
import tempfile
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from cli.console import console, stops
from cli.flower import Flower
from cli.progress import RunProgress
from cli.report import report_of_run
from cli.simulated_cohort import require_cohort
from cli.summaries import summarise
from cli.superlink import own_superlink, tail
from common.bundle import Bundle
from common.config import SIMULATION_KEYS, RunConfig
from common.errors import ConfigError, InputError, RunError
from common.presets import resolve
from common.setting_text import setting_value
from server.frozen import frozen_model, require_frozen_settings
from server.runs import drop_caches, stopped_run
from server.starting_point import starting_point

POLL_SECONDS = 0.25
ASK_FLOWER_AFTER = 15.0
# A SuperLink that does not answer so often is gone.
ASKED_IN_VAIN = 2


def run(
    conf: Annotated[Path, typer.Argument(help="the run's settings, as conf/correct.toml")],
    out: Annotated[Path, typer.Option(help="run folder; must not hold a run yet, unless --resume")],
    data: Annotated[
        Path | None, typer.Option(help="simulation: a folder with one .h5ad per site")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="replace one setting; may be given often"),
    ] = None,
    superlink: Annotated[
        str | None, typer.Option(help="a connection of ~/.flwr/config.toml with real sites")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="go on with the run in OUT that stopped or was killed")
    ] = False,
) -> None:
    """Run a task: simulated sites from a folder of files, or real ones behind a SuperLink."""
    values = read_settings(conf, settings or [])
    if superlink is None and data is None and not values.get("data"):
        raise ConfigError("give --data a folder with one .h5ad per site, or --superlink a name")
    if data is not None:
        values["data"] = str(data)
    if resume:
        values["resume"] = True
    execute(values, out, superlink=superlink, where=str(conf))
    report_of_run(out, console(), draw=superlink is None)


def read_settings(conf: Path, replaced: list[str]) -> dict[str, Any]:
    """The settings of a file, with each ``key=value`` put in.

    Raises
    ------
    ConfigError
        The file is missing or not TOML, or an entry is not ``key=value``.
    """
    try:
        values = tomllib.loads(conf.read_text())
    except FileNotFoundError:
        raise ConfigError(f"there is no file {conf}; conf/correct.toml is one to copy") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{conf} cannot be read as TOML: {error}") from None
    return with_settings(values, replaced)


def with_settings(values: dict[str, Any], replaced: list[str]) -> dict[str, Any]:
    """Settings with each ``key=value`` put in.

    Raises
    ------
    ConfigError
        An entry is not ``key=value``.
    """
    values = dict(values)
    for entry in replaced:
        key, equals, text = entry.partition("=")
        if not equals:
            raise ConfigError(f"--set {entry!r}: write it as key=value")
        values[key.strip()] = setting_value(key.strip(), text)
    return values


def execute(
    values: dict[str, Any],
    out: Path,
    *,
    superlink: str | None = None,
    where: str = "settings",
    resources: dict[str, float] | None = None,
    flower: Flower | None = None,
    screen: Console | None = None,
) -> dict[str, Any]:
    """Run with these settings and show the progress; returns what ``run.json`` holds in the end.

    Parameters
    ----------
    resources
        Replaces entries of Flower's federation config in a simulation.
    flower
        A SuperLink for simulations that is up, and stays so; None starts one for this run.
    screen
        Where progress and summary are shown; None: on standard output.

    Raises
    ------
    ConfigError, InputError
        A setting or the data folder is wrong; nothing was started.
    RunError
        The run failed or its folder holds one already.
    """
    out = out.expanduser().absolute()
    config, federation_config = prepared(
        values, out, superlink=superlink, where=where, resources=resources
    )
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"the run folder {out} cannot be made: {error}") from None
    screen = screen or console()
    # Whoever keeps a SuperLink up cleans up after it, and not to be interrupted then either.
    with contextlib.nullcontext() if flower else stops():
        try:
            result = _run(config, out, superlink, federation_config, screen, flower)
        except RunError:
            report_of_run(out, screen, draw=False)
            raise
        finally:
            if superlink is None:
                drop_caches(out)
    summarise(result, out, screen)
    return result


def prepared(
    values: dict[str, Any],
    out: Path,
    *,
    superlink: str | None = None,
    where: str = "settings",
    resources: dict[str, float] | None = None,
) -> tuple[RunConfig, dict[str, float]]:
    """Settings of a run that can start, and Flower's federation config; raises as ``execute``."""
    if superlink is None and values.get("start-from"):
        values = {**bundle_settings(Path(values["start-from"]).expanduser()), **values}
    config = RunConfig.parse({**values, "out": str(out)}, where=where)
    if superlink is None:
        # Of files that are here, where the coordinator is.
        keys = ("model", "ontology", "checkpoint", "start-from", "gene-list")
        given = {key: value for key in keys if (value := config.flat()[key])}
        paths = {key: str(Path(path).expanduser().absolute()) for key, path in given.items()}
        config = RunConfig.parse({**config.flat(), **paths}, where=where)
    federation_config: dict[str, float] = {}
    _require_trainable(config)
    if superlink is not None:
        _refuse_site_settings(config)
    else:
        # They are here, where the coordinator is.
        if config.model:
            frozen_model(config)
        if config.start_from:
            starting_point(config)
        config = _with_files(config, where)
        require_cohort(config, where)
        n_sites = config.n_sites
        federation_config = {"num-supernodes": n_sites, **_resources(config.device, n_sites)}
        federation_config |= resources or {}
    if superlink is None or (out / "run.json").exists():
        # Before anything is started; with real sites the folder may be on another machine.
        stopped_run(out, config)
    return config, federation_config


def bundle_settings(bundle: Path) -> dict[str, str]:
    """Which classifier the bundle of a run that starts from it has, as settings of a run.

    Raises
    ------
    InputError
        The bundle is missing, damaged, or none of classify.
    """
    made = Bundle.load(bundle, "classify").card["classifier"]
    return {"classifier": made["name"], "classifier-form": made["form"]}


def _require_trainable(config: RunConfig) -> None:
    """Refuse settings of a model that could not be trained."""
    if config.task == "classify":
        # It brings torch and every classifier.
        from common.classification.plan import classifier_plan

        classifier_plan(config)
    elif config.task == "synthesize":
        from common.synthesis.of_run import require_generator

        require_generator(config)
    elif config.model:
        require_frozen_settings(config)
    else:
        resolve(config)


def _run(
    config: RunConfig,
    out: Path,
    superlink: str | None,
    federation_config: dict[str, float],
    screen: Console,
    running: Flower | None,
) -> dict[str, Any]:
    """Submit, and follow until the end; returns ``run.json``."""
    log = out / "flower.log"
    with (
        contextlib.nullcontext(running) if running else _flower(superlink, log) as flower,
        RunProgress(out, screen, resumed=config.resume) as progress,
    ):
        with tempfile.TemporaryDirectory() as folder:
            run_id = flower.submit(config.flat(), federation_config, Path(folder))
        try:
            return _follow(flower, run_id, progress, log)
        except KeyboardInterrupt:
            if superlink is not None:
                flower.stop(run_id)
            raise


def _with_files(config: RunConfig, where: str) -> RunConfig:
    """A simulation's settings with its folder made absolute and its files counted."""
    folder = Path(config.data).expanduser().absolute()
    n_sites = len(site_files(folder))
    found = {"data": str(folder), "n-sites": n_sites}
    if config.carbon_file:
        found["carbon-file"] = str(Path(config.carbon_file).expanduser().absolute())
    return RunConfig.parse({**config.flat(), **found}, where=where)


def _refuse_site_settings(config: RunConfig) -> None:
    """Settings that a real site takes from its own node config alone."""
    plain, given = RunConfig().flat(), config.flat()
    ignored = [key for key in SIMULATION_KEYS if given[key] != plain[key]]
    if ignored:
        raise ConfigError(
            f"{', '.join(ignored)}: each real site sets this in its own --node-config; leave it "
            "out of the run's settings"
        )


def site_files(folder: Path) -> list[Path]:
    """The .h5ad files of a simulation, one per site.

    Raises
    ------
    InputError
        There is no such folder, or no such file in it.
    """
    if not folder.is_dir():
        raise InputError(f"--data {folder}: no such folder; give one with a .h5ad per site")
    files = sorted(folder.glob("*.h5ad"))
    if not files:
        raise InputError(
            f"--data {folder}: there is no .h5ad in it; `syncytium split DATA.h5ad --by batch "
            f"--out {folder}` makes one per site"
        )
    return files


@contextlib.contextmanager
def _flower(superlink: str | None, log: Path) -> Iterator[Flower]:
    if superlink is not None:
        yield Flower(superlink)
        return
    with own_superlink(log) as flower:
        yield flower


def _resources(device: str, n_sites: int) -> dict[str, float]:
    """One core per site; a share of the GPUs where they are wanted and there."""
    resources: dict[str, float] = {"client-resources-num-cpus": 1}
    if device != "cpu":
        import torch

        if n_gpus := torch.cuda.device_count():
            at_once = min(n_sites, os.cpu_count() or 1)
            resources["client-resources-num-gpus"] = min(1.0, n_gpus / at_once)
    return resources


def _follow(flower: Flower, run_id: str, progress: RunProgress, log: Path) -> dict[str, Any]:
    """Show the progress until the run ends; returns ``run.json``.

    The ServerApp's own word in ``run.json`` is final. Flower is asked, which costs a second, only
    when nothing is heard: the ServerApp may have died without a word, or be on another machine.
    """
    heard, in_vain = time.monotonic(), 0
    while True:
        result = progress.update()
        if result.get("run_id") != run_id:
            # What an earlier run left that this one goes on with.
            result = {}
        if result.get("status") == "finished":
            return result
        if result.get("status") == "failed":
            _keep_log(flower, run_id, log)
            raise RunError(result["error"])
        if progress.news:
            heard = time.monotonic()
        elif time.monotonic() - heard > ASK_FLOWER_AFTER:
            heard = time.monotonic()
            try:
                status, details = flower.status(run_id)
            except RunError as error:
                in_vain += 1
                if in_vain < ASKED_IN_VAIN:
                    continue
                raise RunError(
                    f"the SuperLink no longer answers ({error}); once it runs again, the same "
                    "command with --resume goes on from the last round that is on disk"
                ) from None
            in_vain = 0
            if status == "finished:completed":
                return progress.update()
            if status.startswith("finished"):
                _keep_log(flower, run_id, log)
                raise RunError(
                    f"Flower ended the run as {status}: {details}. If rounds are on disk, the same "
                    f"command with --resume goes on from the last of them. {tail(log)}"
                )
        time.sleep(POLL_SECONDS)


def _keep_log(flower: Flower, run_id: str, log: Path) -> None:
    """Append what the ServerApp and the ClientApps said; the SuperLink takes it with it."""
    with log.open("a") as file, contextlib.suppress(RunError):
        file.write(flower.log(run_id))
