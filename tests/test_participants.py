"""The site's record of whom it was summed with: no sum over other sites, none answered twice."""

import itertools
import logging

import numpy as np
import pytest

from client.participants import ParticipantRecord
from common.errors import ConfigError, PolicyError, SecureSumError, SiteFailure
from common.wire import PHASES
from tests.real_sites import real_sites, run
from tests.small_sites import lines

FIVE = ["a", "b", "c", "d", "e"]


def record(folder, **changed):
    return ParticipantRecord(folder, **{"dataset": "cells", "refuse": True, **changed})


def summed(own, run, phase="moments", sites=FIVE, name="0"):
    """A whole sum, as the site sees it."""
    own.begin(run, name, phase, sites)
    own.settle(run, name, phase, sites)


def test_the_same_sites_again_are_no_difference(tmp_path):
    own = record(tmp_path)
    for number in ("1", "2"):
        summed(own, number)
    assert [line["run"] for line in lines(tmp_path / "participants.jsonl")] == ["1", "2"]
    # Nor is each round of a run written down.
    summed(own, "2", "fit", name="1")
    summed(own, "2", "fit", name="2")
    assert len(lines(tmp_path / "participants.jsonl")) == 3


@pytest.mark.parametrize(
    "now", [FIVE[:4], [*FIVE, "f"], [*FIVE[:4], "f"], [*FIVE, "f", "g", "h"], ["a", "x", "y"]]
)
def test_other_sites_are_refused_before_anything_is_computed(tmp_path, now):
    own = record(tmp_path)
    summed(own, "1")
    shown = ", ".join(sorted(set(now) ^ set(FIVE)))
    with pytest.raises(PolicyError, match=rf"policy rule differences.*would show {shown};"):
        own.begin("2", "0", "moments", now)
    assert len(lines(tmp_path / "participants.jsonl")) == 1


def test_sums_that_differ_by_many_sites_add_up_to_one():
    """Why no difference is large enough: each site is in two of three, and one is left."""
    vectors = {name: np.random.default_rng(i).normal(size=4) for i, name in enumerate(FIVE)}
    one, two, three = (sum(vectors[name] for name in names) for names in ("abc", "ade", "bcde"))
    assert all(
        len(set(x) ^ set(y)) >= 3 for x, y in itertools.combinations(("abc", "ade", "bcde"), 2)
    )
    np.testing.assert_allclose((one + two - three) / 2, vectors["a"])


def test_a_site_lost_within_a_run_may_be_missed(tmp_path):
    own = record(tmp_path)
    summed(own, "1")
    own.begin("1", "1", "fit", FIVE)
    own.settle("1", "1", "fit", FIVE[:4])
    summed(own, "1", "correct", FIVE[:4], "2")
    # The next run may be over all again, but not a sum that was over fewer only.
    own.begin("2", "0", "moments", FIVE)
    with pytest.raises(PolicyError, match="policy rule differences: n_train"):
        own.begin("2", "1", "fit", FIVE)
    # The number of cells was summed over both.
    own.begin("2", "2", "correct", FIVE[:4])


def test_every_field_is_kept(tmp_path):
    own = record(tmp_path)
    for number, phase in enumerate(name for name in PHASES if PHASES[name].masked()):
        summed(own, "1", phase, name=str(number))
    kept = {field for line in lines(tmp_path / "participants.jsonl") for field in line["fields"]}
    assert kept == {field for phase in PHASES.values() for field in phase.masked()}


def test_a_sum_is_answered_once_and_opened_over_one_list(tmp_path):
    """Also by a process that does not know of the one before."""
    record(tmp_path).begin("1", "0", "moments", FIVE)
    with pytest.raises(SecureSumError, match="sum 0 of run 1 was asked for twice"):
        record(tmp_path).begin("1", "0", "moments", FIVE)
    record(tmp_path).settle("1", "0", "moments", FIVE[:4])
    record(tmp_path).settle("1", "0", "moments", FIVE[:4])
    with pytest.raises(SecureSumError, match=r"survivors were a, b, c, d and are now"):
        record(tmp_path).settle("1", "0", "moments", FIVE)


def test_a_simulation_warns(tmp_path, caplog):
    own = record(tmp_path, refuse=False)
    summed(own, "1")
    with caplog.at_level(logging.WARNING, logger="syncytium.site"):
        summed(own, "2", sites=FIVE[:4])
    assert "the difference would show e" in caplog.text
    assert len(lines(tmp_path / "participants.jsonl")) == 2


def test_other_cells_have_a_record_of_their_own(tmp_path):
    summed(record(tmp_path), "1")
    summed(record(tmp_path, dataset="others"), "2", sites=FIVE[:4])


@pytest.mark.parametrize("file", ["participants.jsonl", "sums/1.jsonl"])
def test_a_damaged_record_stops_the_sum(tmp_path, file):
    own = record(tmp_path)
    summed(own, "1")
    path = tmp_path / file
    path.write_text(path.read_text()[:-9])
    with pytest.raises(ConfigError, match="cannot be read"):
        own.begin("1", "1", "peaks", FIVE)


def test_a_second_run_without_one_site_is_refused_before_anything_is_summed(tmp_path):
    sites = real_sites(tmp_path, FIVE)
    run(tmp_path / "one", list(sites.values()), run_id=1)
    run(tmp_path / "again", list(sites.values()), run_id=2)
    replies = lines(tmp_path / "a" / "outbox.jsonl")
    with pytest.raises(SiteFailure, match=r"moments failed.*rule differences.*a site's part"):
        run(tmp_path / "two", [sites[name] for name in FIVE[:4]], run_id=3)
    later = lines(tmp_path / "a" / "outbox.jsonl")[len(replies) :]
    assert [line["phase"] for line in later] == ["describe", "identities", "offers", "moments"]
    assert later[-1]["refused"]["reason"].startswith("policy rule differences")
    # Who was in the earlier run is for the site's own eyes.
    assert "the difference would show e" in later[-1]["why"]
    assert "a, b, c, d, e" not in later[-1]["refused"]["reason"]


def test_a_run_goes_on_without_a_site_that_is_lost(tmp_path):
    """Within a run the record does not stand in its way."""
    sites = real_sites(tmp_path, FIVE)
    fits = []

    def lost(reply):
        fits.append(reply.metadata.message_type)
        late = fits.count("train.fit") > 5 and reply.metadata.src_node_id == 5
        return None if late else reply

    settings = {"on-site-error": "continue", "deadline": 2.0, "rounds": 2}
    done = run(tmp_path / "out", list(sites.values()), tamper=lost, **settings)
    assert done["status"] == "finished"
    assert set(done["lost_sites"]) == {"e"}
