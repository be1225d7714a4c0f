"""The site's record of whom it was summed with: sums that differ by one site are refused."""

import logging

import pytest

from client.participants import ParticipantRecord
from common.errors import ConfigError, PolicyError, SiteFailure
from common.wire import PHASES
from tests.real_sites import real_sites, run
from tests.small_sites import lines

FIVE = ["a", "b", "c", "d", "e"]


def record(folder, **changed):
    rules = {"dataset": "cells", "least": 3, "refuse": True} | changed
    return ParticipantRecord(folder, **rules)


def test_the_same_sites_again_are_no_difference(tmp_path):
    own = record(tmp_path)
    for number in ("1", "2"):
        own.check("moments", FIVE)
        own.enter("moments", FIVE, number)
    assert [line["run"] for line in lines(tmp_path / "participants.jsonl")] == ["1", "2"]
    # Nor is a round of the same run written down again.
    own.enter("moments", FIVE, "2")
    assert len(lines(tmp_path / "participants.jsonl")) == 2


@pytest.mark.parametrize(
    ("now", "shown"), [(FIVE[:4], "e"), ([*FIVE, "f"], "f"), ([*FIVE[:4], "f"], "e, f")]
)
def test_fewer_than_the_least_more_or_less_are_refused(tmp_path, now, shown):
    own = record(tmp_path)
    own.enter("moments", FIVE, "1")
    for refused in (lambda: own.check("moments", now), lambda: own.enter("moments", now, "2")):
        with pytest.raises(PolicyError, match=rf"policy rule differences.*would show {shown};"):
            refused()
    assert len(lines(tmp_path / "participants.jsonl")) == 1


def test_enough_other_sites_are_no_difference(tmp_path):
    own = record(tmp_path)
    own.enter("moments", FIVE, "1")
    own.enter("moments", [*FIVE, "f", "g", "h"], "2")
    own.enter("moments", ["a", "x", "y"], "3")
    assert len(lines(tmp_path / "participants.jsonl")) == 3


def test_a_count_is_the_same_number_in_another_phase(tmp_path):
    """n_cells is in moments and in correct."""
    own = record(tmp_path)
    own.enter("moments", FIVE, "1")
    with pytest.raises(PolicyError, match="n_cells was over a, b, c, d, e"):
        own.check("correct", FIVE[:4])


def test_sums_that_no_run_repeats_are_not_kept(tmp_path):
    own = record(tmp_path)
    assert not any(field.repeats for field in PHASES["latents"].masked().values())
    own.enter("latents", FIVE, "1")
    assert not (tmp_path / "participants.jsonl").exists()
    for phase in ("moments", "principal_axes", "peaks", "correct", "fit"):
        assert any(field.repeats for field in PHASES[phase].masked().values())


def test_a_simulation_warns(tmp_path, caplog):
    own = record(tmp_path, refuse=False)
    own.enter("moments", FIVE, "1")
    with caplog.at_level(logging.WARNING, logger="syncytium.site"):
        own.enter("moments", FIVE[:4], "2")
    assert "the difference would show e" in caplog.text
    assert len(lines(tmp_path / "participants.jsonl")) == 2


def test_other_cells_have_a_record_of_their_own(tmp_path):
    record(tmp_path).enter("moments", FIVE, "1")
    record(tmp_path, dataset="others").enter("moments", FIVE[:4], "2")


def test_a_damaged_record_stops_the_sum(tmp_path):
    own = record(tmp_path)
    own.enter("moments", FIVE, "1")
    path = tmp_path / "participants.jsonl"
    path.write_text(path.read_text()[:-9])
    with pytest.raises(ConfigError, match="cannot be read"):
        own.check("moments", FIVE)


def test_a_second_run_without_one_site_is_refused_before_anything_is_summed(tmp_path):
    sites = real_sites(tmp_path, FIVE)
    run(tmp_path / "one", list(sites.values()))
    run(tmp_path / "again", list(sites.values()))
    replies = lines(tmp_path / "a" / "outbox.jsonl")
    with pytest.raises(SiteFailure, match=r"moments failed.*rule differences.*show a site"):
        run(tmp_path / "two", [sites[name] for name in FIVE[:4]])
    later = lines(tmp_path / "a" / "outbox.jsonl")[len(replies) :]
    assert [line["phase"] for line in later] == ["describe", "identities", "offers", "moments"]
    assert later[-1]["refused"]["reason"].startswith("policy rule differences")
    # Who was in the earlier run is for the site's own eyes.
    assert "the difference would show e" in later[-1]["why"]
    assert "a, b, c, d, e" not in later[-1]["refused"]["reason"]
