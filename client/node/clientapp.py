"""What a forked process does: Flower's ClientApp process with the arguments given."""

import sys

OURS = ("client", "common", "strategies")


def run(arguments: list[str]) -> None:
    """One message; without arguments nothing."""
    if not arguments:
        return
    from flwr.supernode.cli.flwr_clientapp import flwr_clientapp
    from flwr.supernode.runtime import run_clientapp

    from client.node.install import install_once
    from strategies.waits import ask_again_soon

    ask_again_soon()
    run_clientapp.install_from_fab = install_once
    # The app that the run brings has packages of the same names.
    for name in [name for name in sys.modules if name.partition(".")[0] in OURS]:
        del sys.modules[name]
    sys.argv = ["flwr-clientapp", *arguments]
    flwr_clientapp()
