"""What every test needs before it is collected."""

import os
import warnings
from pathlib import Path

import hypothesis
import pytest

# A busy machine, not a fault, is what makes an example slow.
hypothesis.settings.register_profile("any-machine", deadline=None)
hypothesis.settings.load_profile("any-machine")


def pytest_configure(config: pytest.Config) -> None:
    # typer 0.20, which Flower imports, still takes a name from where click 8.5 deprecates it.
    config.addinivalue_line(
        "filterwarnings", "ignore:'click.utils.get_binary_stream' is deprecated:DeprecationWarning"
    )
    config.addinivalue_line(
        "filterwarnings", "ignore:'click.utils.get_text_stream' is deprecated:DeprecationWarning"
    )
    # umap, which scib-metrics and scanpy import, tells that it has no TensorFlow.
    config.addinivalue_line("filterwarnings", "ignore:Tensorflow not installed:ImportWarning")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("engine") is None:
        return
    from tests.engine import no_engine

    if reason := no_engine():
        # Where an engine was brought up for the tests, a skip would hide that it failed.
        end = pytest.fail if os.environ.get("SYNCYTIUM_TEST_ENGINE") == "required" else pytest.skip
        end(f"no container engine: {reason}")


@pytest.fixture(scope="session")
def fab() -> bytes:
    """Flower's bundle of this checkout."""
    from flwr.cli.build import build_fab_from_disk

    with warnings.catch_warnings():
        # Flower 1.39 asks pathspec for a pattern under its old name.
        warnings.filterwarnings("ignore", "GitWildMatchPattern", DeprecationWarning)
        return build_fab_from_disk(Path(__file__).parent.parent)


@pytest.fixture(scope="session")
def four_site_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with four small sites."""
    from tests.disturbed import four_sites

    return four_sites(tmp_path_factory.mktemp("four") / "data")


@pytest.fixture(scope="session")
def undisturbed(four_site_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The simulated run over them that nothing disturbs."""
    from tests.disturbed import simulate

    return simulate(tmp_path_factory.mktemp("undisturbed") / "out", four_site_data)


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The containers' images, built from a clean copy of the checkout."""
    from tests.engine import clean_copy, compose, docker

    with compose(clean_copy(tmp_path_factory.mktemp("build"))) as project:
        project.done("build", "--quiet")
    sizes = docker("image", "ls", "--format", "{{.Repository}} {{.Size}}").splitlines()
    print("\n".join(line for line in sizes if line.startswith("syncytium-")))
