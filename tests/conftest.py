"""What every test needs before it is collected."""

import warnings
from pathlib import Path

import pytest


def pytest_configure(config: pytest.Config) -> None:
    # typer 0.20, which Flower imports, still takes a name from where click 8.5 deprecates it.
    config.addinivalue_line(
        "filterwarnings", "ignore:'click.utils.get_binary_stream' is deprecated:DeprecationWarning"
    )
    config.addinivalue_line(
        "filterwarnings", "ignore:'click.utils.get_text_stream' is deprecated:DeprecationWarning"
    )


@pytest.fixture(scope="session")
def fab() -> bytes:
    """Flower's bundle of this checkout."""
    from flwr.cli.build import build_fab_from_disk

    with warnings.catch_warnings():
        # Flower 1.39 asks pathspec for a pattern under its old name.
        warnings.filterwarnings("ignore", "GitWildMatchPattern", DeprecationWarning)
        return build_fab_from_disk(Path(__file__).parent.parent)
