"""Parts of a page: the verdict, the loss by round, settings, places of names on a picture."""

import numpy as np
import pytest

from common.config import RunConfig
from report.loss_chart import loss_chart
from report.page import duration, in_bytes, moment
from report.palette import COLOURS, colours
from report.scatter import HEIGHT, WIDTH, labels, scaled
from report.settings_table import changed_settings, network
from report.verdict import findings, types_to_look_at


def evaluation(before, after, *, better="higher", reason=None):
    def scores(value):
        return {"entropy_of_batch_mixing": {"value": value, "reason": reason}}

    return {
        "metrics": {
            "entropy_of_batch_mixing": {"title": "Mixing", "better": better, "group": "mixing"}
        },
        "overall": {"uncorrected": scores(before), "decoded": scores(after)},
        "per_type": {},
    }


@pytest.mark.parametrize(
    ("before", "after", "better", "tone"),
    [
        (0.1, 0.7, "higher", "good"),
        (0.7, 0.1, "higher", "bad"),
        (0.5, 0.502, "higher", "same"),
        (0.7, 0.1, "lower", "good"),
        (None, 0.1, "higher", "unknown"),
    ],
)
def test_the_verdict_follows_the_change(before, after, better, tone):
    (found,) = findings(evaluation(before, after, better=better, reason="one batch only"))
    assert (found.tone, found.before, found.after) == (tone, before, after)
    assert found.question == "Are the batches mixed?"
    assert bool(found.reason) == (tone == "unknown")


def test_types_of_which_a_score_fell_are_pointed_out():
    result = evaluation(0.1, 0.7)
    before, after = ({"entropy_of_batch_mixing": v} for v in (0.9, 0.5))
    result["per_type"] = {
        "B": {"scores": {"uncorrected": before, "decoded": after}},
        "T": {"scores": {"uncorrected": after, "decoded": before}},
        "rare": {"scores": {"uncorrected": {"entropy_of_batch_mixing": None}, "decoded": after}},
    }
    assert types_to_look_at(result) == ["B: Mixing went from 0.90 to 0.50 (decoded)"]
    many = {str(i): result["per_type"]["B"] for i in range(9)}
    told = types_to_look_at({**result, "per_type": many})
    assert told[6:] == ["and 3 more, in the table by cell type"]


def round_of(number, validation, training):
    losses = {"validation_loss_before": validation, "train_loss": training}
    return {"round": number, **losses}


def test_the_validation_loss_is_that_of_the_round_before():
    """A round's line has the loss of the model that it started from."""
    chart = loss_chart([round_of(1, 0.9, 0.8), round_of(2, 0.5, 0.6), round_of(3, 0.7, 0.5)], 1)
    validation, training = chart.lines
    at = [tick.at for tick in chart.x_ticks]
    assert [x for x, _ in validation.dots] == at[:3]
    assert [x for x, _ in training.dots] == at[1:]
    # The model that is kept is the one with the lowest validation loss.
    assert chart.kept == max(validation.dots, key=lambda dot: dot[1])[0] == at[1]
    assert "validation loss 0.9000 after round 0, 0.7000 after round 2, lowest 0.5000" in chart.alt
    heights = [y for _, y in (*validation.dots, *training.dots)]
    assert min(heights) >= chart.y_ticks[-1].at
    assert max(heights) <= chart.y_ticks[0].at


def test_a_round_that_does_not_count_is_a_gap():
    chart = loss_chart([round_of(1, 3.0, 3.0), {"round": 2, "void": "x"}, round_of(3, 2.0, 2.0)], 0)
    assert [len(line.pieces) for line in chart.lines] == [0, 0]
    assert [len(line.dots) for line in chart.lines] == [2, 2]


def test_rounds_without_validation_are_no_gap():
    rounds = [round_of(n, None if n % 2 else 3.0 - n / 2, 3.0) for n in range(1, 6)]
    validation, training = loss_chart(rounds, None).lines
    assert [len(line.dots) for line in (validation, training)] == [2, 5]
    assert [len(line.pieces) for line in (validation, training)] == [1, 1]


@pytest.mark.parametrize("loss", [0.0, 1e-9, 0.7, 123456.0])
def test_one_round_is_a_chart(loss):
    chart = loss_chart([round_of(1, loss, loss)], None)
    assert 2 <= len(chart.y_ticks) <= 8
    assert len({tick.text for tick in chart.y_ticks}) == len(chart.y_ticks)


def test_no_round_is_none():
    assert loss_chart([], None) is None
    assert loss_chart([{"round": 1, "void": "x"}], None) is None


def test_settings_that_differ():
    config = RunConfig().flat() | {"rounds": 3, "output": "both", "of-another-version": 1}
    changed = {one.key: (one.value, one.default) for one in changed_settings(config)}
    assert changed == {
        "rounds": (3, 0),
        "output": ("both", "decoded"),
        "of-another-version": (1, ""),
    }
    assert network(config) == {}
    del config["of-another-version"]
    assert network(config)["rounds"] == 3


def test_colours_are_the_safe_ones_first_and_differ():
    chosen = colours([str(i) for i in range(24)])
    assert list(chosen.values())[: len(COLOURS)] == list(COLOURS)
    assert len(set(chosen.values())) == 24


def test_names_on_a_picture_do_not_cover_each_other():
    rng = np.random.default_rng(0)
    points = scaled(rng.normal(size=(300, 2)))
    groups = np.array([f"type number {i % 6}" for i in range(300)], dtype=object)
    names = {name: name for name in sorted(set(groups))}
    placed = labels(points, groups, names | {"absent": "absent"})
    assert [label.text for label in placed] == list(names)
    for i, one in enumerate(placed):
        assert 0 < one.x < WIDTH
        assert 0 < one.y < HEIGHT
        for other in placed[:i]:
            assert abs(one.y - other.y) >= 14 or abs(one.x - other.x) > 80


def test_units():
    assert [in_bytes(n) for n in (0, 999, 1500, 2_500_000, 3.2e9)] == [
        "0 B",
        "999 B",
        "1.5 kB",
        "2.5 MB",
        "3.2 GB",
    ]
    assert [duration(s) for s in (0.04, 9.96, 36, 100, 3720)] == [
        "0.0 s",
        "10.0 s",
        "36 s",
        "1 min 40 s",
        "1 h 2 min",
    ]
    assert moment("2026-01-02T03:04:05.000+00:00") == "2 Jan 2026, 03:04 UTC"
    assert moment("") == ""
