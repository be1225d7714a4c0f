"""A site's policy: read, refused by key, and its rules against what a run asks."""

import pytest

from common.config import RunConfig
from common.errors import ConfigError, PolicyError
from common.policy import SitePolicy
from tests.test_cli import call, refused


def written(folder, text):
    path = folder / "policy.toml"
    path.write_text(text)
    return SitePolicy.read(str(path))


def run(**settings):
    return RunConfig.parse({k.replace("_", "-"): v for k, v in settings.items()}, where="test")


def test_the_file_that_the_command_writes_is_the_built_in_policy(tmp_path):
    path = tmp_path / "new" / "policy.toml"
    assert call("policy", path).exit_code == 0
    assert SitePolicy.read(str(path)) == SitePolicy.read("") == SitePolicy()
    # Every rule is there with its meaning.
    for name, field in SitePolicy.model_fields.items():
        assert name.replace("_", "-") in path.read_text()
        assert field.description in path.read_text()
    assert "exists and is left as it is" in refused("policy", path)


def test_the_rules_of_a_file_are_shown(tmp_path):
    path = tmp_path / "policy.toml"
    path.write_text(f'min-sites = 7\n[roster]\nbern = "{"ab" * 32}"\n')
    shown = call("policy", path, "--check").stdout
    assert "min-sites 7" in " ".join(shown.split())
    assert "bern abababababababab..." in shown
    path.write_text("min-sites = 1")
    assert "min-sites = 1: input should be greater than or equal to 2" in refused(
        "policy", path, "--check"
    )


FAULTS = [
    ("min-site = 3", "unknown key 'min-site': did you mean 'min-sites'"),
    ('tasks = ["correkt"]', r"tasks\.0 = 'correkt': input should be 'correct'"),
    ('[roster]\nbern = "abc"', r"roster\.bern = 'abc': string should match pattern"),
    ("min-sites = ", "is not TOML"),
    ('differences = "allow"', "input should be 'refuse' or 'warn'"),
    ("largest-message-mb = 0", "greater than 0"),
]


@pytest.mark.parametrize(("text", "said"), FAULTS)
def test_a_faulty_file_says_which_rule_and_why(tmp_path, text, said):
    with pytest.raises(ConfigError, match=said):
        written(tmp_path, text)


def test_a_missing_file_is_no_licence():
    with pytest.raises(ConfigError, match=r"policy = '/nowhere/p.toml' cannot be read"):
        SitePolicy.read("/nowhere/p.toml")


REFUSALS = [
    ('tasks = ["classify"]', {}, "policy rule tasks = classify: the run's task is correct"),
    ("", {"secure_sum": "off"}, "policy rule require-masking: the run has secure-sum = off"),
    ("", {"min_reference_cells": 19}, "policy rule min-reference-cells = 20: the run has .* = 19"),
    ("consistency = true", {}, "policy rule consistency: the run has consistency = false"),
]


@pytest.mark.parametrize(("text", "settings", "said"), REFUSALS)
def test_a_refusal_names_the_rule(tmp_path, text, settings, said):
    with pytest.raises(PolicyError, match=said) as caught:
        written(tmp_path, text).allow(run(**settings))
    # It may leave the site as it is.
    assert caught.value.public == str(caught.value)


def test_what_the_rules_allow(tmp_path):
    SitePolicy().allow(run())
    SitePolicy().allow(run(secure_sum="crypten"))
    written(tmp_path, "require-masking = false").allow(run(secure_sum="off"))
    strict = written(tmp_path, "consistency = true")
    strict.allow(run(consistency=True))
    # Shares are bound to the list of their owners: two lists do not open.
    strict.allow(run(secure_sum="crypten"))


def test_the_largest_message(tmp_path):
    policy = written(tmp_path, "largest-message-mb = 2.5")
    policy.allow_bytes(2_500_000, "came with fit")
    with pytest.raises(PolicyError, match=r"largest-message-mb = 2.5: .* 2.6 MB came with fit"):
        policy.allow_bytes(2_600_000, "came with fit")


def test_a_simulated_site_warns_where_a_real_one_refuses():
    simulated = SitePolicy.of_simulation(run())
    simulated.allow(run(secure_sum="off"))
    assert (simulated.differences, simulated.min_sites) == ("warn", 2)
