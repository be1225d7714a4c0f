"""pyproject.toml and requirements.lock say the same as the code."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from common.config import RunConfig

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
REQUIREMENTS = [Requirement(line) for line in PROJECT["project"]["dependencies"]]
LOCKED = {
    requirement.name.lower().replace("_", "-"): str(requirement.specifier).removeprefix("==")
    for line in (ROOT / "requirements.lock").read_text().splitlines()
    if line.strip() and not line.startswith("#")
    for requirement in [Requirement(line)]
}


def test_flower_knows_every_setting_and_its_default():
    stated, ours = PROJECT["tool"]["flwr"]["app"]["config"], RunConfig().flat()
    assert stated == ours
    # 0 == 0.0 == False, but Flower refuses a value of another type than the stated one.
    assert {key: type(value) for key, value in stated.items()} == {
        key: type(value) for key, value in ours.items()
    }


def test_flower_installs_nothing_behind_the_users_back():
    excluded = set(PROJECT["tool"]["uv"]["exclude-dependencies"])
    assert excluded == {requirement.name for requirement in REQUIREMENTS}


# torch is installed before the lock: the platform decides which build.
@pytest.mark.parametrize(
    "requirement", [r for r in REQUIREMENTS if r.name != "torch"], ids=lambda r: r.name
)
def test_the_lock_satisfies_the_dependencies(requirement):
    assert LOCKED[requirement.name] in requirement.specifier


def test_crypten_is_locked_and_not_declared():
    assert "crypten" in LOCKED
    assert "crypten" not in {requirement.name for requirement in REQUIREMENTS}


def test_every_package_is_installed():
    found = {
        str(path.parent.relative_to(ROOT)).replace("/", ".")
        for name in ("cli", "client", "common", "report", "server", "strategies")
        for path in (ROOT / name).rglob("__init__.py")
    }
    assert found == set(PROJECT["tool"]["setuptools"]["packages"])
