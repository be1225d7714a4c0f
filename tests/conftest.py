"""What every test needs before it is collected."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    # typer 0.20, which Flower imports, still takes a name from where click 8.5 deprecates it.
    config.addinivalue_line(
        "filterwarnings", "ignore:'click.utils.get_binary_stream' is deprecated:DeprecationWarning"
    )
    config.addinivalue_line(
        "filterwarnings", "ignore:'click.utils.get_text_stream' is deprecated:DeprecationWarning"
    )
