"""The coordinator's Flower ServerApp: run config -> workflow -> run folder."""

import importlib
import logging

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from common.config import RunConfig, run_folder
from common.errors import SyncytiumError
from common.logs import LOG, facts, logged_to
from server.energy import CoordinatorEnergy
from server.federation import Federation
from server.logs import speak
from server.runs import RunFolder, drop_caches
from strategies.waits import ask_again_soon

logger = logging.getLogger("syncytium.server")
app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the task that the run config names.

    Raises
    ------
    SyncytiumError
        The run failed; ``run.json`` says how.
    """
    speak()
    ask_again_soon()
    config = RunConfig.parse(context.run_config, where="run config")
    folder = RunFolder(run_folder(config, context.run_id), config, context.run_id)
    with logged_to(logger, folder.path / LOG, texts=True, run=str(context.run_id)):
        _work(grid, config, folder, str(context.run_id))


def _work(grid: Grid, config: RunConfig, folder: RunFolder, run_id: str) -> None:
    logger.info("run folder: %s", folder.path)
    energy = None
    try:
        energy = CoordinatorEnergy(config, folder)
        federation = Federation(grid, config, folder)
        federation.metered, federation.note_energy = energy.lap, energy.note
        workflow = importlib.import_module(f"server.workflows.{config.task}")
        workflow.run(federation, config, folder, run_id)
    except SyncytiumError as error:
        _fail(folder, energy, type(error).__name__, str(error))
        raise
    except (SystemExit, KeyboardInterrupt):
        _fail(folder, energy, "Stopped", "stopped from outside; --resume goes on with it")
        raise
    except BaseException as error:
        _fail(folder, energy, "InternalError", f"{type(error).__name__}: {error}")
        raise
    # Of sites that were lost, or whose evaluation failed; a run that failed may go on with them.
    drop_caches(folder.path)
    _note(energy)
    folder.finish("finished")
    logger.info("finished: %s", folder.path)


def _note(energy: CoordinatorEnergy | None) -> None:
    """Enter what a run took until its end, which does not hang on it."""
    if energy is None:
        return
    try:
        energy.lap()
        energy.note(ended=True)
    except Exception as error:
        logger.warning("what the run took is not noted: %s: %s", type(error).__name__, error)


def _fail(folder: RunFolder, energy: CoordinatorEnergy | None, kind: str, reason: str) -> None:
    """Enter a run's end; what it took until then is told, too."""
    _note(energy)
    folder.finish("failed", error=reason, error_kind=kind)
    logger.debug("failed", extra=facts(kind=kind, reason=reason))
