"""What a site refuses of ``synthesize`` by its own rules, and lost sites: whole runs."""

from pathlib import Path

import numpy as np
import pytest

import tests.tiny_generator  # noqa: F401  enters the table
from common.errors import ConfigError, PolicyError, SecureSumError, SiteFailure
from common.policy import SitePolicy
from common.privacy import distributed_noise
from common.privacy.site_budget import SiteBudget
from server.checkpoint import Checkpoint
from server.noised_stages import NoisedStages
from strategies.records import to_record, values_of
from tests.in_process import Stopped, run_in_process, stopping
from tests.real_sites import policy_file
from tests.small_cohorts import TINY, cohorts, config_of, synthesize
from tests.small_sites import lines, run_json, write_sites

RULES = {"max_epsilon": 2.0, "dataset": "cohort", "min_label_sites": 1}


def real_sites(folder: Path, n: int = 3, rules=None, **of_all) -> list[dict]:
    """Node configs; ``rules`` are those of the last site alone."""
    data = write_sites(folder / "data", cohorts(n))
    configs = []
    for number in range(1, n + 1):
        own = {**RULES, **of_all, **((rules or {}) if number == n else {})}
        configs.append(
            {
                "data-path": str(data / f"site-{number}.h5ad"),
                "output-dir": str(folder / f"at-{number}"),
                "batch-key": "",
                "policy": policy_file(folder / f"{number}.toml", **own),
            }
        )
    return configs


def run(out: Path, configs: list[dict], **settings) -> dict:
    values = {**TINY, "batch_key": "batch", "n-sites": len(configs), "min_sites": 3, **settings}
    run_in_process(out, len(configs), node_configs=configs, **values)
    return run_json(out)


def spent(folder: Path, number: int, unit: str = "record") -> float:
    return SiteBudget(folder / f"at-{number}", "cohort", unit, 100.0, 1e-5).spent()


def noised_lines(folder: Path) -> list[dict]:
    return [line for line in lines(folder / "outbox.jsonl") if line["phase"] == "noised_sums"]


def test_real_sites_pay_from_their_own_budgets(tmp_path):
    configs = real_sites(tmp_path)
    assert run(tmp_path / "out", configs)["status"] == "finished"
    for number in (1, 2, 3):
        assert spent(tmp_path, number) == pytest.approx(2.0, rel=1e-4)
    # A second run is beyond it, and refused before any site pays a part of it.
    with pytest.raises(SiteFailure, match="policy rule privacy budget"):
        run(tmp_path / "again", configs, run_id=8)
    assert not (tmp_path / "again/synthetic.h5ad").exists()
    assert spent(tmp_path, 1) == pytest.approx(2.0, rel=1e-4)


REFUSED = [
    ({"max_epsilon": 1.0}, {}, "policy rule privacy budget"),
    ({"max_epsilon": 0.0}, {}, "policy rule max-epsilon = 0"),
    ({"privacy_unit": "donor"}, {}, "policy rule privacy-unit = donor: the run has .* = record"),
    ({"min_colluding": 1}, {}, "policy rule min-colluding = 1: .* noise-colluding = 0"),
    ({"tasks": ["correct"]}, {}, "policy rule tasks = correct"),
    ({"min_label_sites": 4}, {}, "min-label-sites = 4: .* of 3 sites; set min-sites = 4"),
    ({}, {"noise": "off", "epsilon": 0.0}, "policy rule allow-no-noise: the run has noise = off"),
    (
        {"require_masking": False},
        {"secure_sum": "off"},
        "policy rule allow-no-noise: the run has secure-sum = off",
    ),
]


@pytest.mark.parametrize(("rules", "settings", "said"), REFUSED)
def test_one_sites_rule_ends_the_run_before_anybody_pays(tmp_path, rules, settings, said):
    configs = real_sites(tmp_path, rules=rules)
    if rules.get("require_masking") is False:
        for config in configs[:2]:
            policy = policy_file(
                Path(config["policy"]), **RULES, require_masking=False, allow_no_noise=True
            )
            config["policy"] = policy
    with pytest.raises(SiteFailure, match=said):
        run(tmp_path / "out", configs, **settings)
    assert [spent(tmp_path, number) for number in (1, 2, 3)] == [0, 0, 0]


def test_what_the_rules_allow(tmp_path):
    strict = {"privacy_unit": "donor", "min_colluding": 1}
    configs = real_sites(tmp_path, **strict)
    for config in configs:
        config["donor-key"] = "donor"
    run(tmp_path / "out", configs, privacy_unit="donor", noise_colluding=1)
    assert spent(tmp_path, 2, "donor") == pytest.approx(2.0, rel=1e-4)
    free = real_sites(tmp_path / "free", allow_no_noise=True)
    run(tmp_path / "off", free, noise="off", epsilon=0.0)
    assert spent(tmp_path / "free", 1) == 0
    assert noised_lines(tmp_path / "free/at-1")[0]["noise"] == "off"


@pytest.mark.parametrize(("asked", "fits"), [(False, True), (True, False)])
def test_a_stopped_run_pays_for_what_is_left_of_it(tmp_path, monkeypatch, asked, fits):
    """Of a budget for one run: what was asked for and never opened is paid twice, or refused."""
    configs, out = real_sites(tmp_path), tmp_path / "out"
    with monkeypatch.context() as patched:
        if asked:
            stop = {"tamper": stopping("noised_sums", times=4)}
        else:
            stop = {}
            save = Checkpoint.save

            def last(checkpoint, name, *values):
                save(checkpoint, name, *values)
                if name == "released":
                    raise Stopped

            patched.setattr(Checkpoint, "save", last)
        with pytest.raises(Stopped):
            run(out, configs, **stop)
    if fits:
        assert run(out, configs, resume=True, run_id=8)["status"] == "finished"
        assert spent(tmp_path, 1) == pytest.approx(2.0, rel=1e-4)
    else:
        with pytest.raises(SecureSumError, match=r"void.*policy rule privacy budget"):
            run(out, configs, resume=True, run_id=8)
    assert spent(tmp_path, 1) <= 2


def test_public_classes_need_no_holders(tmp_path):
    run(tmp_path / "out", real_sites(tmp_path, min_label_sites=9), classes="A,B")
    # Nor does a site say which labels it has.
    phases = [line["phase"] for line in lines(tmp_path / "at-1/outbox.jsonl")]
    assert "labels" not in phases


def test_a_budget_is_of_a_named_data_set():
    with pytest.raises(ConfigError, match="max-epsilon = 1 without dataset"):
        SitePolicy.parse({"max-epsilon": 1.0}, where="policy")
    with pytest.raises(PolicyError, match="max-epsilon = 0"):
        SitePolicy.parse({"min-label-sites": 1}, where="policy").allow(config_of())


def asked_again(monkeypatch, between=lambda stages: None):
    """A coordinator that asks for the first stage twice."""
    real = NoisedStages._sum

    def twice(stages, number, stage, state):
        found = real(stages, number, stage, state)
        if number == 1:
            between(stages)
            real(stages, number, stage, state)
        return found

    monkeypatch.setattr(NoisedStages, "_sum", twice)


def test_a_stage_that_is_asked_for_twice_is_refused(tmp_path, monkeypatch):
    asked_again(monkeypatch)
    with pytest.raises(SecureSumError, match=r"void.*noised_sums was asked for again in round 1"):
        run(tmp_path / "out", real_sites(tmp_path))
    assert run_json(tmp_path / "out")["void_release"] == {"stage": "counts", "number": 1}
    assert len([x for x in noised_lines(tmp_path / "at-1") if "refused" not in x]) == 1


def test_nor_is_it_answered_with_new_keys(tmp_path, monkeypatch):
    """To the sums it is as another run: the budget knows the run by Flower's own id."""
    asked_again(monkeypatch, between=lambda stages: stages.session._renew())
    with pytest.raises(SecureSumError, match=r"void.*release 7/noised_sums/1 was made before"):
        run(tmp_path / "out", real_sites(tmp_path, max_epsilon=90.0))
    assert spent(tmp_path, 1) < 2


def test_a_message_cannot_lower_the_noise(tmp_path, monkeypatch):
    """What it says of noise is not read."""
    run(tmp_path / "plain", real_sites(tmp_path / "a"))
    from strategies.noised_sum import NoisedSum

    real = NoisedSum.request

    def lying(strategy, round_, node_ids):
        strategy.values |= {"epsilon": 90.0, "variance": 0, "l2": 1e-9, "noise": "off"}
        return real(strategy, round_, node_ids)

    monkeypatch.setattr(NoisedSum, "request", lying)
    run(tmp_path / "lying", real_sites(tmp_path / "b"))
    variances = [
        [line["noise_variance"] for line in noised_lines(tmp_path / name / "at-1")]
        for name in ("a", "b")
    ]
    assert variances[0] == variances[1]
    assert min(variances[0]) > 0


def losing(number, times=1):
    """Site 3 is lost at its so-manieth noised sum."""
    seen = [0]

    def tamper(reply):
        phase = reply.metadata.message_type.partition(".")[2]
        if reply.metadata.src_node_id == 3 and phase == "noised_sums":
            seen[0] += 1
            if seen[0] == number:
                return None
        return reply

    return tamper


LOST = {"deadlines": "noised_sums=0.5", "min_sites": 2}


def test_a_lost_site_is_borne_where_the_noise_covers_it(tmp_path):
    settings = {"on_site_error": "continue", "noise_lost": 1, "readmit": False, **LOST}
    run = synthesize(tmp_path / "out", cohorts(5), tamper=losing(1), **settings)
    stages = list(run["privacy"]["stages"].values())
    assert [(s["n_sites"], s["survivors"]) for s in stages] == [(5, 4), (4, 4)]
    # The first sum has no less noise than stated, the second has one share to spare.
    assert run["privacy"]["epsilon_outsiders"] <= 2.0
    assert run["lost_sites"]


@pytest.mark.parametrize("policy", ["continue", "wait", "stop"])
def test_otherwise_the_round_is_void_and_no_noise_is_drawn_again(tmp_path, monkeypatch, policy):
    drawn = []
    real = distributed_noise.SharedNoise.draw
    monkeypatch.setattr(
        distributed_noise.SharedNoise, "draw", lambda noise: drawn.append(1) or real(noise)
    )
    settings = {"on_site_error": policy, "wait": 1.0, **LOST}
    with pytest.raises(SecureSumError, match=r"release 2 \(sums\) is void"):
        synthesize(tmp_path / "out", cohorts(4), tamper=losing(2), **settings)
    assert len(drawn) == 2 * 4
    out = run_json(tmp_path / "out")
    assert out["status"] == "failed"
    assert out["void_release"] == {"stage": "sums", "number": 2}
    assert not (tmp_path / "out/synthetic.h5ad").exists()


def test_two_lost_sites_are_too_many_for_one(tmp_path):
    def tamper(reply):
        phase = reply.metadata.message_type.partition(".")[2]
        lost = reply.metadata.src_node_id > 4 and phase == "noised_sums"
        return None if lost else reply

    settings = {"on_site_error": "continue", "noise_lost": 1, **LOST}
    with pytest.raises(SecureSumError, match="2 of 6 sites are lost and the noise covers at most"):
        synthesize(tmp_path / "out", cohorts(6), tamper=tamper, **settings)


def test_without_masks_the_coordinator_is_not_covered_and_the_run_says_so(tmp_path):
    run = synthesize(tmp_path / "out", cohorts(3), secure_sum="off")
    assert any("one share of the noise" in what for what in run["privacy"]["not_covered"])


@pytest.mark.parametrize(
    ("phase", "settings"), [("moments", {}), ("peaks", {}), ("labels", {"classes": "A,B"})]
)
def test_a_run_of_this_task_sums_nothing_without_noise(tmp_path, monkeypatch, phase, settings):
    """A site that takes part for its noise alone is not to be asked for another task's sums."""
    from server.workflows.synthesize import Synthesize

    values = {"vocabulary": ["G1", "G2"], "types": ["A"], "groups": [["A"]], "digit": 0}
    seen = []

    def asks(workflow, sites):
        seen.append(workflow.session.sum(phase, values=values).values)

    monkeypatch.setattr(Synthesize, "choose_genes", asks)
    with pytest.raises(SiteFailure, match=f"phase {phase} is none of a run of synthesize"):
        run(tmp_path / "out", real_sites(tmp_path, tasks=["synthesize"]), **settings)
    assert not seen


@pytest.mark.parametrize("bad", ["a number that is none", "a middle for each record"])
def test_no_site_pays_for_a_state_that_is_none(tmp_path, monkeypatch, bad):
    """Or answers by whether its records fit it."""
    real = NoisedStages._sum

    def lying(stages, number, stage, state):
        if number == 2:
            middle = state["middle"]
            middle = middle * np.nan if bad.startswith("a number") else np.tile(middle, (38, 1))
            state = state | {"middle": middle}
        return real(stages, number, stage, state)

    monkeypatch.setattr(NoisedStages, "_sum", lying)
    with pytest.raises(SecureSumError, match=r"void.*the state for release sums"):
        run(tmp_path / "out", real_sites(tmp_path))
    for number in (1, 2, 3):
        log = lines(tmp_path / f"at-{number}/outbox.jsonl")
        assert [line for line in log if "refused" in line]
        assert spent(tmp_path, number) < 1.9


@pytest.mark.parametrize("backend", ["masked", "crypten"])
def test_a_lie_on_the_number_of_sites_draws_no_thinner_noise(tmp_path, monkeypatch, backend):
    from strategies.noised_sum import NoisedSum

    real = NoisedSum.request

    def lying(strategy, round_, node_ids):
        record = real(strategy, round_, node_ids)
        values = values_of(record)
        values["sum"]["n_sites"] = 1000
        return to_record(values, {})

    monkeypatch.setattr(NoisedSum, "request", lying)
    with pytest.raises(SecureSumError, match=r"void.*(other participants|others than the sites)"):
        run(tmp_path / "out", real_sites(tmp_path), secure_sum=backend)
    assert [spent(tmp_path, number) for number in (1, 2, 3)] == [0, 0, 0]
