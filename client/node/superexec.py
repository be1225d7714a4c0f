"""Flower's SuperExec, whose ClientApp processes are forked from one that has loaded what they need.

Each message still has a process of its own, which ends with it. The app itself is loaded there, as
the run brings it.
"""

import multiprocessing
import os
import sys
from multiprocessing.context import ForkServerProcess

from flwr.supercore.constant import TASK_TYPE_TO_APPIO_API_ADDRESS_ARG, TaskType
from flwr.supercore.superexec import run_superexec
from flwr.supercore.superexec.executor import SubprocessExecutor
from flwr.supercore.superexec.executor.types import ExecutionSpec, LaunchResult

from client.node.growing_waits import GrowingWaits

# torch._dynamo is what the first optimizer of a process imports.
LOADED = (
    "flwr.supernode.cli.flwr_clientapp",
    "flwr.clientapp",
    "client.node.clientapp",
    "client.node.install",
    "torch._dynamo",
    "anndata",
    "httpcore",
    "scipy.sparse",
    "pydantic",
    "cryptography.hazmat.primitives.asymmetric.x25519",
)
POLL = "FLWR_SUPEREXEC_TASK_POLL_INTERVAL"
# Of the setting, the longest; of waits that grow, the shortest.
POLL_SECONDS, SHORTEST_SECONDS = 0.5, 0.05


class WarmExecutor(SubprocessExecutor):
    """Starts ClientApp processes from a fork server, and any other as Flower does."""

    def __init__(self, waits: GrowingWaits) -> None:
        self._waits = waits
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(list(LOADED))
        self._running: list[ForkServerProcess] = []
        # A first process has the fork server load everything before a message comes.
        self._start([])

    def launch(self, spec: ExecutionSpec) -> LaunchResult:
        """Start the process of one message."""
        self._waits.something_came()
        if spec.task_type != TaskType.CLIENT_APP or spec.suppress_output:
            return super().launch(spec)
        address = TASK_TYPE_TO_APPIO_API_ADDRESS_ARG[spec.task_type]
        arguments = [address, spec.runtime_api_address, "--token", spec.token]
        if spec.insecure:
            arguments.append("--insecure")
        elif spec.root_certificates_path is not None:
            arguments += ["--root-certificates", spec.root_certificates_path]
        if spec.parent_pid is not None:
            arguments += ["--parent-pid", str(spec.parent_pid)]
        if spec.runtime_dependency_install:
            arguments.append("--allow-runtime-dependency-installation")
        self._start(arguments)
        return LaunchResult.accepted()

    def reconcile(self) -> None:
        """Let go of processes that have ended."""
        self._running = [process for process in self._running if process.exitcode is None]

    def _start(self, arguments: list[str]) -> None:
        from client.node.clientapp import run

        process = self._context.Process(target=run, args=(arguments,))
        process.start()
        self._running.append(process)


def main() -> None:
    """Flower's SuperExec with the command line's arguments."""
    from flwr.supercore.cli.flower_superexec import flower_superexec

    os.environ.setdefault(POLL, str(POLL_SECONDS))
    waits = GrowingWaits(SHORTEST_SECONDS, POLL_SECONDS)
    run_superexec.time = waits
    run_superexec.get_executor = lambda *args, **options: WarmExecutor(waits)
    sys.argv[0] = "flower-superexec"
    flower_superexec()


if __name__ == "__main__":
    main()
