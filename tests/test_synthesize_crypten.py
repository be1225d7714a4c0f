"""``synthesize`` with ``secure-sum = crypten``: the same noise as under masks, or no sum at all."""

import json

import numpy as np
import pytest

from common.errors import ConfigError, SecureSumError
from common.privacy import distributed_noise
from tests.small_cohorts import (
    GENES,
    OFF,
    cohorts,
    config_of,
    pooled_state,
    published_state,
    synthesize,
)
from tests.small_sites import lines, run_json
from tests.test_synthesize_rules import noised_lines, real_sites, run, spent

BACKENDS = ("masked", "crypten")


def assert_equal(one, other):
    assert set(one) == set(other)
    for name, value in one.items():
        np.testing.assert_array_equal(other[name], value, err_msg=name)


def test_without_noise_the_state_is_that_of_the_pooled_records(tmp_path):
    sites, settings = cohorts(3), {**OFF, "generator": "gaussian"}
    synthesize(tmp_path / "out", sites, secure_sum="crypten", **settings)
    assert_equal(published_state(tmp_path / "out"), pooled_state(sites, ["A", "B"], **settings))


def test_the_noise_and_what_it_costs_are_those_of_masked_sums(tmp_path, monkeypatch):
    """With the same draws at the same sites all that is released is the same, bit for bit."""
    asked, released, paid, told = {}, {}, {}, {}
    for backend in BACKENDS:
        rng, own = np.random.default_rng(5), asked.setdefault(backend, [])

        def drawn(variance, n, rng=rng, own=own):
            own.append((variance, n))
            return np.rint(rng.normal(0, float(variance) ** 0.5, n)).astype(np.int64)

        with monkeypatch.context() as patched:
            patched.setattr(distributed_noise, "discrete_gaussian", drawn)
            configs = real_sites(tmp_path / backend)
            settings = {"secure_sum": backend, "generator": "gaussian", "noise_colluding": 1}
            told[backend] = run(tmp_path / f"run-{backend}", configs, **settings)["privacy"]
        released[backend] = published_state(tmp_path / f"run-{backend}")
        files = [tmp_path / backend / f"at-{n}/privacy_budget.json" for n in (1, 2, 3)]
        paid[backend] = [
            [(line["release"], line["state"], line["spends"]) for line in content["releases"]]
            for content in (json.loads(path.read_text()) for path in files)
        ]
        assert spent(tmp_path / backend, 1) == pytest.approx(2.0, rel=1e-4)
    assert len(asked["crypten"]) == 3 * len(told["crypten"]["stages"])
    for found in (asked, paid):
        assert found["crypten"] == found["masked"]
    assert_equal(released["masked"], released["crypten"])
    assert [told[backend].pop("secure_sum") for backend in BACKENDS] == list(BACKENDS)
    assert told["crypten"] == told["masked"]


def test_the_opened_sum_holds_every_sites_share(tmp_path, monkeypatch):
    shares, real = [], distributed_noise.discrete_gaussian

    def recorded(variance, n):
        shares.append((float(variance), real(variance, n)))
        return shares[-1][1]

    monkeypatch.setattr(distributed_noise, "discrete_gaussian", recorded)
    sites = cohorts(4)
    told = synthesize(tmp_path / "out", sites, secure_sum="crypten")["privacy"]["stages"]["sums"]
    of_sums = shares[4:]
    assert len(of_sums) == 4
    assert sum(variance for variance, _ in of_sums) == pytest.approx(told["sigma"] ** 2)
    noise = sum(values for _, values in of_sums)
    assert noise.shape == (2 * len(GENES),)
    assert (np.abs(noise) > 0).any()
    state, without = published_state(tmp_path / "out"), pooled_state(sites, ["A", "B"], **OFF)
    np.testing.assert_array_equal(state["total"], without["total"] + noise)


def test_no_lost_site_can_be_borne_and_no_setting_says_so(tmp_path):
    with pytest.raises(ConfigError, match=r"noise-lost = 1 with secure-sum = crypten, .* masked"):
        config_of(secure_sum="crypten", noise_lost=1)
    # Before any site is asked.
    with pytest.raises(ConfigError, match="opens no sum without all its sites"):
        synthesize(tmp_path / "out", cohorts(4), secure_sum="crypten", noise_lost=2)
    assert not (tmp_path / "out").exists()
    assert config_of(secure_sum="crypten", noise_colluding=1).noise_colluding == 1


@pytest.mark.parametrize("lost_in", ["noised_sums", "partial_sums"])
def test_a_lost_site_voids_the_release_that_resume_pays_once_more(tmp_path, lost_in):
    """Whether it was lost before its shares arrived, or before it added those of the others."""
    configs, out = real_sites(tmp_path, n=4, max_epsilon=4.0), tmp_path / "out"
    seen = []

    def losing(reply):
        phase = reply.metadata.message_type.partition(".")[2]
        if reply.metadata.src_node_id == 4:
            seen.append(phase)
            # The second release: what is summed before it, the labels, has partial sums as well.
            second = seen.count("noised_sums") == 2
            return None if second and phase == lost_in else reply
        return reply

    asked = {"secure_sum": "crypten", "on_site_error": "continue", "deadlines": f"{lost_in}=0.5"}
    with pytest.raises(SecureSumError, match=r"release 2 \(sums\) is void.*secure-sum = masked"):
        run(out, configs, tamper=losing, **asked)
    assert run_json(out)["void_release"] == {"stage": "sums", "number": 2}
    assert not (out / "synthetic.h5ad").exists()
    # Nobody adds shares of less than all: of the labels and the first release alone, or of all.
    n_opened = [line["phase"] for line in lines(tmp_path / "at-1/outbox.jsonl")]
    assert n_opened.count("partial_sums") == (2 if lost_in == "noised_sums" else 3)
    before = [spent(tmp_path, number) for number in (1, 2, 3, 4)]
    assert before == pytest.approx([2.0] * 4, rel=1e-4)

    done = run(out, configs, resume=True, run_id=8, **asked)
    assert done["status"] == "finished"
    assert done["privacy"]["epsilon_outsiders"] <= 2.0
    releases = [(line["run"], line["round"]) for line in noised_lines(tmp_path / "at-1")]
    assert releases == [("7", 1), ("7", 2), ("8", 2)]
    for number in (1, 2, 3, 4):
        assert 2.0 < spent(tmp_path, number) < 4.0
