"""The runs of a comparison: order, warm-up, floor, what is kept when one fails."""

import json
from dataclasses import replace

import pytest

import cli.compared_runs
from cli.compared_runs import ComparedRuns
from common.comparison.results import results
from common.comparison.schedule import blocks
from common.errors import ConfigError, RunError, SiteFailure
from tests.compared import FOUR, VERSIONS, Fake, method_of, plan, typical
from tests.small_sites import leftovers

NAMES = ["baseline", "small-batch", "narrow-ring", "slow"]


def compare(out, run_once=None, methods=FOUR, resume=False, tell=lambda *_: None, **choices):
    return ComparedRuns(
        plan(methods, **choices), out, run_once or Fake(typical), tell, resume=resume
    ).make()


def with_target(out, of, target=0.8):
    """The plan is made without: not every version has the setting."""
    return ComparedRuns(replace(plan(), target=target), out, Fake(of)).make()


def verdicts(record):
    return {name: method["verdict"] for name, method in record["results"]["methods"].items()}


def test_one_run_to_warm_up_then_blocks_in_the_order_that_is_recorded(tmp_path):
    fake, told = Fake(typical), []
    record = compare(tmp_path / "out", fake, tell=lambda *line: told.append(line))
    order = blocks(NAMES, 3, 42)
    assert record["order"] == order
    first, *others = fake.made
    assert first[0] == "warm-up"
    assert [name for name, _ in others] == [
        f"{repeat + 1}-{name}" for repeat, block in enumerate(order) for name in block
    ]
    # The first is as the one after it: what differs between them is that it was the first.
    assert first[1] == others[0][1]
    assert [method_of(values) for _, values in others] == [
        name for block in order for name in block
    ]
    assert [values["seed"] for _, values in others] == [42] * 4 + [43] * 4 + [44] * 4
    assert [line[0] for line in told] == list(range(13))
    assert told[0][3] is None
    assert told[-1] == (12, 12, f"{order[2][3]}, repeat 3 of 3", pytest.approx(0, abs=1))
    assert (tmp_path / "out/warm-up/run.json").exists()
    assert leftovers(tmp_path / "out") == []


def test_the_discarded_run_counts_nowhere_and_is_told(tmp_path):
    def cold(values, number):
        return typical(values, number) | ({"kwh": 1.0, "f1": 0.0} if number == 1 else {})

    cold_one = compare(tmp_path / "cold", Fake(cold))
    warm_one = compare(tmp_path / "warm")

    def figures(record):
        return {
            name: {k: v for k, v in method["figures"].items() if k != "seconds"}
            for name, method in record["results"]["methods"].items()
        }

    assert figures(cold_one) == figures(warm_one)
    first = cold_one["results"]["first_run"]
    name = cold_one["order"][0][0]
    assert first["method"] == name
    kwh = cold_one["results"]["methods"][name]["figures"]["kwh"]["mean"]
    assert first["ratio"] == pytest.approx(1.0 / kwh)


def test_means_intervals_and_paired_differences(tmp_path):
    found = compare(tmp_path / "out")["results"]["methods"]
    # Each repeat's noise is of all methods: it is gone from the differences.
    f1 = found["narrow-ring"]["figures"]["macro_f1"]
    assert f1["mean"] == pytest.approx(0.933)
    assert f1["high"] - f1["low"] == pytest.approx(2 * 4.302653 * 1e-3 / 3**0.5, rel=1e-5)
    of = found["narrow-ring"]["differences"]["macro_f1"]
    assert [of["mean"], of["low"], of["high"]] == pytest.approx([-0.01] * 3)
    assert found["narrow-ring"]["differences"]["kwh"]["mean"] == pytest.approx(-1e-3)
    assert found["baseline"]["differences"] == {}
    figures = found["baseline"]["figures"]
    assert figures["kg"]["mean"] == pytest.approx(figures["kwh"]["mean"] / 2)
    parts = sum(figures[f"{part}_kwh"]["mean"] for part in ("cpu", "gpu", "ram"))
    assert parts == pytest.approx(figures["kwh"]["mean"])
    who = sum(figures[f"{who}_kwh"]["mean"] for who in ("sites", "coordinator"))
    assert who == pytest.approx(figures["kwh"]["mean"])
    # F1 over kg of each run, not of the means.
    runs = [0.9 + 1e-3 * s for s in (42, 43, 44)]
    kg = [(2e-3 + 1e-7 * s) / 2 for s in (42, 43, 44)]
    expected = sum(f / k for f, k in zip(runs, kg, strict=True)) / 3
    assert figures["eaps"]["mean"] == pytest.approx(expected)


def test_a_method_below_the_floor_is_on_no_front(tmp_path):
    """It takes least by far, and EAPS alone would choose it."""
    record = compare(tmp_path / "out")
    found = record["results"]
    rated = {name: m["figures"]["eaps"]["mean"] for name, m in found["methods"].items()}
    assert max(rated, key=rated.get) == "slow"
    assert verdicts(record) == {
        "baseline": "on the front",
        "small-batch": "beaten",
        "narrow-ring": "on the front",
        "slow": "below the floor",
    }
    # Better than small-batch, for less.
    assert found["methods"]["small-batch"]["beaten_by"] == ["baseline", "narrow-ring"]
    assert found["floor"] == {
        "value": pytest.approx(0.88),
        "given": False,
        "figure": "validation_macro_f1",
        "cells": "validation",
    }
    assert verdicts(compare(tmp_path / "low", floor=0.1))["slow"] == "on the front"


def test_the_floor_is_judged_on_validation_cells(tmp_path):
    """A method may be good on test cells by luck."""

    def lucky(values, number):
        of = typical(values, number)
        return of | ({"f1": 0.99} if method_of(values) == "slow" else {})

    assert verdicts(compare(tmp_path / "out", Fake(lucky)))["slow"] == "below the floor"


def test_without_validation_figures_the_floor_is_judged_on_test_cells(tmp_path):
    def one_lacks(values, number):
        return typical(values, number) | ({"validation": None} if number == 7 else {})

    record = compare(tmp_path / "out", Fake(one_lacks))
    assert record["results"]["floor"]["cells"] == "test"
    assert record["results"]["floor"]["value"] == pytest.approx(0.943 - 0.02)


def test_a_target_that_one_run_missed(tmp_path):
    def missed(values, number):
        reached = {} if (method_of(values), values["seed"]) == ("narrow-ring", 43) else {"x": 7}
        return typical(values, number) | {"target_reached": reached.get("x")}

    record = with_target(tmp_path / "out", missed)
    assert verdicts(record)["narrow-ring"] == "target not reached"
    assert record["results"]["methods"]["narrow-ring"]["reached"] == 2
    assert verdicts(record)["baseline"] == "on the front"


def test_energy_that_one_run_does_not_know_is_no_figure_of_its_method(tmp_path):
    def lost(values, number):
        unknown = (method_of(values), values["seed"]) == ("narrow-ring", 44)
        return typical(values, number) | ({"kwh": None} if unknown else {})

    record = compare(tmp_path / "out", Fake(lost))
    method = record["results"]["methods"]["narrow-ring"]
    assert method["verdict"] == "energy not known"
    assert method["not_known"] == ["site-2 was lost"]
    assert not {"kwh", "kg", "eaps"} & set(method["figures"])
    assert "macro_f1" in method["figures"]
    assert "kwh" not in method["differences"]
    # What the coordinator alone took would look like a method that takes little.
    (run,) = [r for r in record["runs"] if not r["energy"]["known"]]
    assert run["energy"] == {"known": False, "reason": "site-2 was lost"}


def test_sites_that_were_not_metered_in_full(tmp_path):
    def in_part(values, out):
        result = fake(values, out)
        if method_of(values) == "narrow-ring":
            result["energy"]["sites"]["n_unmetered"] = 4
        return result

    fake = Fake(typical)
    record = compare(tmp_path / "out", in_part)
    method = record["results"]["methods"]["narrow-ring"]
    assert method["verdict"] == "energy not known"
    assert method["not_known"] == ["4 replies of sites were not metered"]


def test_a_run_that_was_not_scored(tmp_path):
    def unscored(values, out):
        result = fake(values, out)
        if method_of(values) == "narrow-ring" and values["seed"] == 43:
            text = json.dumps({"evaluated": False, "reason": "a site was lost"})
            (out / "classification.json").write_text(text)
        return result

    fake = Fake(typical)
    record = compare(tmp_path / "out", unscored)
    assert verdicts(record)["narrow-ring"] == "not scored"
    (run,) = [r for r in record["runs"] if r["quality"] is None]
    assert run["not_scored"] == "a site was lost"


def test_measured_and_estimated_energy(tmp_path):
    def source(values, number):
        return typical(values, number) | {"source": "measured" if number % 2 else "estimated"}

    record = compare(tmp_path / "out", Fake(source))
    assert record["results"]["sources"] == ["estimated", "measured"]
    assert record["power"]["thread_watts"] > 0


def failing_at(n, error):
    return lambda values, number: {"raises": error} if number == n else typical(values, number)


def test_a_run_that_fails_stops_it_and_the_others_are_kept(tmp_path):
    out = tmp_path / "out"
    with pytest.raises(RunError) as error:
        compare(out, Fake(failing_at(7, SiteFailure("site-1 fell"))))
    name = blocks(NAMES, 3, 42)[1][1]
    assert str(error.value).startswith(f"run 6 of 12 ({name}) failed: site-1 fell.")
    assert "--resume" in str(error.value)
    record = json.loads((out / "compare.json").read_text())
    assert (record["status"], len(record["runs"]), len(record["warm_ups"])) == ("running", 5, 1)
    assert "results" not in record
    again = Fake(typical)
    resumed = compare(out, again, resume=True)
    # What went before is not made again; the machine is as cold as at the first start.
    assert [made for made, _ in again.made][:2] == ["warm-up-2", f"2-{name}"]
    assert len(again.made) == 1 + 7
    whole = compare(tmp_path / "whole")
    for key in ("order", "runs"):
        assert without_times(resumed[key]) == without_times(whole[key])
    assert verdicts(resumed) == verdicts(whole)


def without_times(value):
    if isinstance(value, list):
        return [without_times(one) for one in value]
    if isinstance(value, dict):
        return {k: without_times(v) for k, v in value.items() if k not in ("seconds", "started")}
    return value


def test_a_process_that_is_killed(tmp_path):
    """As a power cut: nothing is handled, and a half-made folder is left."""
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        compare(out, Fake(failing_at(3, KeyboardInterrupt())))
    assert (out / "runs" / f"1-{blocks(NAMES, 3, 42)[0][1]}").exists()
    assert len(compare(out, resume=True)["runs"]) == 12


def test_one_that_is_cut_before_its_first_run_is_begun_again(tmp_path):
    out = tmp_path / "out"
    with pytest.raises(RunError, match=r"the run to warm up \(.*\) failed"):
        compare(out, Fake(failing_at(1, RunError("no"))))
    assert not (out / "compare.json").exists()
    assert len(compare(out)["runs"]) == 12


def test_more_repeats_of_a_finished_one(tmp_path):
    out = tmp_path / "out"
    before = compare(out)
    again = Fake(typical)
    after = compare(out, again, resume=True, repeats=5)
    assert len(again.made) == 1 + 8
    assert after["runs"][:12] == before["runs"]
    assert after["results"]["methods"]["baseline"]["n_runs"] == 5
    with pytest.raises(ConfigError, match=r"--repeats 3: the comparison in .* has 5 already"):
        compare(out, resume=True)
    nothing = Fake(typical)
    compare(out, nothing, resume=True, repeats=5)
    assert nothing.made == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"methods": "baseline,small-batch,narrow-ring,slow:learning-rate=1e-5"}, "methods: slow"),
        ({"base": {"rounds": 11}}, "base: rounds: 10, now 11"),
        ({"seed": 7}, "seed: 42, now 7"),
        ({"floor": 0.5}, "floor: None, now 0.5"),
    ],
)
def test_another_comparison_is_not_gone_on_with(tmp_path, changed, said):
    compare(tmp_path / "out")
    with pytest.raises(ConfigError, match=said):
        compare(tmp_path / "out", resume=True, **changed)


def test_another_machine_or_version_is_not_comparable(tmp_path, monkeypatch):
    out = tmp_path / "out"
    with pytest.raises(RunError):
        compare(out, Fake(failing_at(5, RunError("no"))))

    def newer(values, number):
        return typical(values, number) | {"versions": {**VERSIONS, "syncytium": "9"}}

    with pytest.raises(ConfigError, match=r"other versions: syncytium: '0.1.0', now '9'"):
        compare(out, Fake(newer), resume=True)
    here = cli.compared_runs.machine()
    monkeypatch.setattr("cli.compared_runs.machine", lambda: {**here, "cpu": "another"})
    with pytest.raises(ConfigError, match=r"another machine's cpu: .*, now 'another'"):
        compare(out, resume=True)


def test_folders_that_are_in_use(tmp_path):
    out = tmp_path / "out"
    compare(out)
    with pytest.raises(RunError, match="holds a comparison already"):
        compare(out)
    with pytest.raises(RunError, match="holds no comparison to resume"):
        compare(tmp_path / "none", resume=True)
    (tmp_path / "other/runs").mkdir(parents=True)
    with pytest.raises(RunError, match=r"is not empty \(runs\)"):
        compare(tmp_path / "other")
    (out / "compare.json").write_text("{")
    with pytest.raises(RunError, match="cannot be read"):
        compare(out, resume=True)


def test_steps_that_the_sites_cannot_make_are_found_by_the_first_run(tmp_path):
    fake = Fake(lambda values, number: typical(values, number) | {"n_train": 700})
    with pytest.raises(ConfigError, match="keep batch-size between 128 and 700"):
        compare(tmp_path / "out", fake)
    assert len(fake.made) == 1
    # Another batch size may be tried at once.
    compare(tmp_path / "out", base={"batch-size": 512})


def test_a_correction_is_compared_by_its_score(tmp_path):
    from common.comparison.methods import methods_of
    from common.comparison.plan import comparison_plan

    base = {"task": "correct", "data": "/data", "rounds": 10}
    found = comparison_plan(base, methods_of("baseline,narrow-ring"))
    fake = Fake(lambda values, number: {**typical(values, number), "task": "correct"})
    record = ComparedRuns(found, tmp_path / "out", fake).make()
    figures = record["results"]["methods"]["narrow-ring"]["figures"]
    assert figures["score"]["mean"] == pytest.approx(0.933)
    assert not {"eaps", "macro_f1", "accuracy"} & set(figures)
    assert verdicts(record) == {"baseline": "on the front", "narrow-ring": "on the front"}
    # Scores on validation cells, if there were any, are of another figure.
    floor = record["results"]["floor"]
    assert (floor["figure"], floor["cells"]) == ("score", "")


def test_results_are_of_the_record_alone(tmp_path):
    record = compare(tmp_path / "out")
    kept = json.loads((tmp_path / "out/compare.json").read_text())
    assert results(kept, "macro_f1") == kept["results"] == record["results"]
