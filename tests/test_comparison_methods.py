"""Methods and their settings: what is refused before anything runs, and what equal work is."""

import pytest

from common.classification.plan import classifier_plan
from common.comparison.methods import METHODS, SHARED, methods_of
from common.comparison.work import Work, require_whole_steps, settings_of, work_of
from common.config import RunConfig
from common.errors import ConfigError
from tests.compared import BASE, plan

LOCAL = {"strategy": "fedavg", "local-epochs": 2}


def config(values):
    return RunConfig.parse(values, where="test")


def test_a_method_of_ones_own():
    method = methods_of("baseline,mine:learning-rate=1e-3;classifier-form=simplified")[1]
    assert method.name == "mine"
    assert method.values == {"learning-rate": 1e-3, "classifier-form": "simplified"}


def test_commas_and_semicolons_in_quotes():
    methods = methods_of("a:hidden='800,800';kl-weight=1e-4, b:deadlines=\"fit=5,peaks=6;\"")
    assert [method.name for method in methods] == ["a", "b"]
    assert methods[0].values == {"hidden": "800,800", "kl-weight": 1e-4}
    assert methods[1].values == {"deadlines": "fit=5,peaks=6;"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("baseline", "at least 2 methods"),
        ("", "at least 2 methods"),
        ("baseline,small-bach", "did you mean 'small-batch'"),
        ("baseline,baseline", "baseline is there twice"),
        ("a:rounds=1,a:rounds=2", "a is there twice"),
        ("baseline,reduced:rounds=2", "reduced is a method already"),
        ("baseline,../a:rounds=2", "'../a' is no name"),
        ("baseline,a b:rounds=2", "'a b' is no name"),
        ("baseline,a:rounds", "method a: 'rounds': write it as key=value"),
        ("baseline,a:rounds=1;rounds=2", "method a: rounds is there twice"),
        *((f"baseline,a:{key}=1", f"method a: {key} says on what") for key in SHARED),
    ],
)
def test_what_is_no_list_of_methods(text, said):
    with pytest.raises(ConfigError) as error:
        methods_of(text)
    assert said in str(error.value)


def test_what_is_shared_is_no_typing_error():
    """Each of these is a setting: else the rule for it would hold nothing."""
    assert set(SHARED) - {"target-f1"} <= set(RunConfig.keys())


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("a:learning-rat=1", "method a: unknown key 'learning-rat': did you mean 'learning-rate'"),
        ("a:rounds=-1", "method a: rounds = -1"),
        ("a:local-epochs=2", "method a: local-epochs = 2: with strategy = fedsgd"),
        ("a:classifier=actin", "method a: unknown classifier 'actin': did you mean 'actinn'"),
        ("a:classifier-form=huge", "method a: "),
        ("a:max-depth=2", "which does not read max-depth = 2"),
    ],
)
def test_settings_that_do_not_fit_name_their_method(method, said):
    with pytest.raises(ConfigError) as error:
        plan(f"baseline,{method}")
    assert said in str(error.value)


def test_faults_of_the_file_are_not_a_methods():
    with pytest.raises(ConfigError, match=r"^test: unknown key 'round'"):
        plan("baseline,narrow-ring", {"round": 3})


@pytest.mark.parametrize(
    ("choices", "base", "said"),
    [
        ({"repeats": 2}, {}, "--repeats 2: at least 3"),
        ({"floor": 1.5}, {}, "--floor 1.5: from 0 to 1"),
        ({"target": -0.5}, {}, "--target-f1 -0.5: from 0 to 1"),
        ({"target": 0.5}, {"validation-share": 0.0}, "nothing tells|leaves no cell to tell"),
        ({}, {"test-share": 0.0}, "test-share = 0 leaves no cell"),
    ],
)
def test_choices_that_would_compare_nothing(choices, base, said):
    with pytest.raises(ConfigError, match=said):
        plan("baseline,narrow-ring", base, **choices)


def test_a_correction_that_is_not_scored():
    for base, said in (({"evaluate": False}, "evaluate = false"), ({"model": "/b"}, "not trained")):
        with pytest.raises(ConfigError, match=said):
            plan_of_correct(base)


def plan_of_correct(base, methods="baseline,narrow-ring", **choices):
    from common.comparison.plan import comparison_plan

    return comparison_plan({"task": "correct", **base}, methods_of(methods), **choices)


def test_a_target_is_of_classifiers():
    with pytest.raises(ConfigError, match="--target-f1 is of task = classify"):
        plan_of_correct({}, target=0.9)


def test_small_batch_is_half_of_the_plans_own_and_as_much_work():
    for base in (BASE, {**BASE, "batch-size": 640}, {**BASE, **LOCAL}):
        before = classifier_plan(config(base)).training
        values, work = settings_of(METHODS["small-batch"], base)
        after = classifier_plan(config(values)).training
        assert after.batch_size == before.batch_size // 2
        if "strategy" in base:
            assert (after.rounds, after.local_epochs) == (before.rounds, before.local_epochs)
        else:
            # A round is one step.
            assert after.rounds == 2 * before.rounds
        assert work.amount == work_of(config(base)).amount


def test_patience_grows_with_the_rounds():
    values, _ = settings_of(METHODS["small-batch"], {**BASE, "patience": 3})
    assert values["patience"] == 6
    assert "patience" not in settings_of(METHODS["small-batch"], BASE)[0]


def test_small_batch_of_a_correction():
    found = plan_of_correct({}, "baseline,small-batch")
    assert found.works["baseline"] == Work("steps", 100, 0, 2048, 0)
    assert found.works["small-batch"] == Work("steps", 200, 0, 1024, 0)


@pytest.mark.parametrize(
    ("base", "own"),
    [
        ({"task": "classify"}, {"classifier-form": "reduced"}),
        ({"task": "classify", "classifier-form": "published"}, {"classifier-form": "reduced"}),
        (
            {"task": "classify", "classifier-form": "simplified"},
            {"classifier-form": "simplified-reduced"},
        ),
        ({"task": "correct"}, {"vae-form": "reduced"}),
        ({}, {"vae-form": "reduced"}),
    ],
)
def test_reduced_is_smaller_and_of_the_same_design(base, own):
    assert METHODS["reduced"].own(base) == own


def test_a_linear_classifier_has_no_batch():
    with pytest.raises(ConfigError, match="method small-batch: classifier = logistic is brought"):
        plan("baseline,small-batch", {"classifier": "logistic", "rounds": 0})


@pytest.mark.parametrize(
    ("methods", "base", "said"),
    [
        ("baseline,a:rounds=5", {}, "a would do 5 rounds of 1,024 cells, and baseline 10 rounds"),
        ("baseline,a:batch-size=768;rounds=10", {}, "that divides 10,240"),
        ("baseline,a:batch-size=3000", {}, "that divides 10,240"),
        ("baseline,a:local-epochs=3", LOCAL, "10 rounds of 3 passes.*as many rounds"),
        ("baseline,a:local-epochs=1", LOCAL, "give it rounds=20"),
        ("baseline,a:strategy=fedavg", {}, "their work is not to be made equal"),
        ("baseline,a:classifier=xgboost", {}, "grows trees.*not to be made equal"),
    ],
)
def test_work_that_is_not_equal_is_refused(methods, base, said):
    with pytest.raises(ConfigError, match=said):
        plan(methods, base)


def test_work_that_is_equal_otherwise():
    works = plan("baseline,a:local-epochs=1;rounds=20,b:local-epochs=4;rounds=5", LOCAL).works
    assert {work.amount for work in works.values()} == {20}
    works = plan("baseline,a:batch-size=256;rounds=40,b:batch-size=512").works
    assert [work.rounds for work in works.values()] == [10, 40, 20]
    # Both end at their optimum, wherever that is.
    plan("baseline,a:ring-bits=32", {"classifier": "logistic", "rounds": 0})


@pytest.mark.parametrize("key", ["rounds", "local-epochs", "patience"])
def test_a_target_ends_every_run_alike(key):
    with pytest.raises(ConfigError, match=f"method a: {key} would end it elsewhere than at"):
        plan(f"a:{key}=3,baseline", target=0.9)


def test_a_target_is_every_runs():
    found = plan("baseline,small-batch,a:strategy=fedavg", target=0.9)
    assert {values["target-f1"] for values in found.settings.values()} == {0.9}
    # As many steps at most, not more of larger ones.
    assert found.works["small-batch"].rounds == 2 * found.works["baseline"].rounds
    assert "target-f1" not in found.own("small-batch")


def test_passes_of_all_kinds_are_in_one_unit():
    assert Work("steps", 10, 0, 500, 0).passes(10, 1000) == 5
    # A step has no more cells than there are.
    assert Work("steps", 10, 0, 5000, 0).passes(10, 1000) == 10
    assert Work("passes", 10, 3, 32, 0).passes(7, 1000) == 21
    assert Work("trees", 10, 0, 0, 0).passes(10, 1000) == 10


@pytest.mark.parametrize(
    ("sizes", "n_train", "said"),
    [
        ((1024, 512), 1000, "method a: a step of 1,024 cells"),
        ((1024, 100), 4000, "method b: a step of 100 cells"),
        ((1024, 512), 4000, None),
        ((8192, 8192), 4000, None),
    ],
)
def test_steps_are_as_large_as_they_say(sizes, n_train, said):
    works = {name: Work("steps", 9, 0, size, 0) for name, size in zip("ab", sizes, strict=True)}
    if said is None:
        require_whole_steps(works, n_train, 4)
        return
    with pytest.raises(ConfigError, match=said):
        require_whole_steps(works, n_train, 4)


def test_the_reference_is_the_baseline_or_the_first():
    assert plan("narrow-ring,baseline").reference == "baseline"
    assert plan("narrow-ring,slow:learning-rate=1e-4").reference == "narrow-ring"


def test_what_a_method_changes():
    found = plan("baseline,small-batch,narrow-ring")
    assert found.own("baseline") == {}
    assert found.own("small-batch") == {"batch-size": 512, "rounds": 20}
    assert found.own("narrow-ring") == {"ring-bits": 32}


@pytest.mark.parametrize("entry", ["carbon-file=/x.csv", "allow-fewer-epochs=true"])
def test_hours_of_the_grid_are_no_method(entry):
    with pytest.raises(ConfigError, match="says on what methods are compared"):
        plan(f"baseline,eco:{entry}")


def test_emissions_by_the_hour_are_not_compared():
    with pytest.raises(ConfigError, match="methods run in others: leave it out"):
        plan(base={"carbon-file": "/x.csv"})
