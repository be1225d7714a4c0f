"""The coordinator's Flower ServerApp: run config -> workflow -> run folder."""

import importlib
import logging

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from common.config import RunConfig, run_folder
from common.errors import SyncytiumError
from common.logs import LOG, facts, logged_to
from server.energy import coordinator_meter, note_energy
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
    meter = coordinator_meter(config, folder)
    try:
        federation = Federation(grid, config, folder)
        workflow = importlib.import_module(f"server.workflows.{config.task}")
        workflow.run(federation, config, folder, run_id)
    except SyncytiumError as error:
        folder.finish("failed", error=str(error), error_kind=type(error).__name__)
        logger.debug("failed", extra=facts(kind=type(error).__name__, reason=str(error)))
        raise
    except (SystemExit, KeyboardInterrupt):
        told = "stopped from outside; --resume goes on with it"
        folder.finish("failed", error=told, error_kind="Stopped")
        logger.debug("failed", extra=facts(kind="Stopped", reason=told))
        raise
    except BaseException as error:
        folder.finish(
            "failed", error=f"{type(error).__name__}: {error}", error_kind="InternalError"
        )
        logger.debug("failed", extra=facts(kind=type(error).__name__, reason=str(error)))
        raise
    # Of sites that were lost, or whose evaluation failed; a run that failed may go on with them.
    drop_caches(folder.path)
    note_energy(meter, config, folder)
    folder.finish("finished")
    logger.info("finished: %s", folder.path)
