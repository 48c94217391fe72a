"""Fitted parameters, the rows they are published in, and the way back."""

from __future__ import annotations

import doctest
import json

import pytest

from revenue_core.attribution import fitting, journeys, shapley
from revenue_core.attribution.fitting import Fitted, fit, learned_from_rows, parameter_rows
from revenue_core.attribution.journeys import JourneyCounts
from revenue_core.parameters import Learned
from schemas.outbound import ModelParameters


def counted(*found: tuple[str, bool]) -> JourneyCounts:
    """Of journeys whose channels are letters."""
    counts = JourneyCounts()
    for channels, converted in found:
        counts.add(channels, converted)
    return counts


HURTFUL = counted(("A", True), ("A", True), ("AB", False), ("B", False))


def test_a_fit_knows_its_journeys_and_has_its_channels_sorted():
    fitted = fit(HURTFUL)
    assert (fitted.conversions, fitted.nulls, fitted.p_conversion) == (2, 2, 0.5)
    assert [each.channel for each in fitted.channels] == ["A", "B"]


def test_without_journeys_there_are_no_channels_and_nothing_converts():
    fitted = fit(JourneyCounts())
    assert fitted == Fitted(0, 0, ())
    assert fitted.p_conversion == 0.0
    assert parameter_rows(fitted, 1) == []
    assert learned_from_rows(1, []) == fitted.learned(1) == Learned(1, 0, {}, {})


def test_a_negative_value_is_kept_and_flagged_and_has_no_share():
    good, bad = fit(HURTFUL).channels
    assert (good.clipped, bad.clipped) == (False, True)
    assert bad.shapley_value == pytest.approx(-0.25)
    assert (good.shapley_share, bad.shapley_share) == (1.0, 0.0)


def test_a_channel_that_is_worth_nothing_is_not_flagged_and_its_zero_has_no_sign():
    assert not any(each.clipped for each in fit(counted(("A", False), ("B", False))).channels)
    assert [str(value) for value in fitting._rounded({"A": -1e-15, "B": -1e-11}).values()] == [
        "0.0",
        "-1e-11",
    ]


def test_without_a_conversion_no_channel_has_a_share():
    assert {(each.markov_share, each.shapley_share) for each in fit(counted(("AB", False))).channels} == {
        (0.0, 0.0)
    }


def test_each_model_has_a_row_per_channel_that_the_topic_takes():
    rows = parameter_rows(fit(HURTFUL), 7)
    assert [row["parameter_id"] for row in rows] == ["markov@7|A", "markov@7|B", "shapley@7|A", "shapley@7|B"]
    times = {"fitted_through": "2026-01-07T00:00:00.000Z", "fitted_through_ms": 1_767_744_000_000}
    for row in rows:
        sent = ModelParameters.model_validate(row | times | {"version": 1, "is_deleted": 0})
        assert sent.model_dump(include=set(row)) == row


@pytest.mark.parametrize("name", ["a|b", "markov@8|A", "", "Ä\u2028"])
def test_parameters_come_back_from_their_rows_whatever_a_channel_is_called(name):
    counts = JourneyCounts(dict(HURTFUL.items()))
    counts.add([name, "A"], True)
    fitted = fit(counts)
    rows = json.loads(json.dumps(parameter_rows(fitted, 7)))
    assert learned_from_rows(7, reversed(rows)) == fitted.learned(7)
    assert rows[0]["parameter_id"].split("|", 1)[1] == rows[0]["channel"]


def test_rows_of_other_models_are_passed_over():
    rows = parameter_rows(fit(HURTFUL), 7)
    hazard = {"parameter_id": "hazard@7|x", "model": "hazard"}
    assert learned_from_rows(7, [hazard, *rows]) == fit(HURTFUL).learned(7)


def test_a_count_of_no_kind_is_refused():
    with pytest.raises(ValueError, match="'Email' is no kind of count"):
        JourneyCounts({("Email", "Events"): 1})


def test_counts_below_zero_are_refused_by_a_fit_only():
    counts = JourneyCounts()
    counts.remove("AB", True)
    with pytest.raises(ValueError, match="-1 is no count"):
        fit(counts)
    counts.add("AB", True)
    assert counts == JourneyCounts()
    assert len(counts) == 0


def test_a_channel_that_only_a_set_knows_is_refused():
    counts = counted(("A", True))
    counts.change((journeys.WON_SET, "A"), -1)
    counts.change((journeys.WON_SET, "B"), 1)
    with pytest.raises(ValueError, match="whole journeys: B"):
        fit(counts)


def test_rows_of_several_partitions_add_up():
    one, other = counted(("AB", True)), counted(("A", True), ("AB", True))
    together = counted(("AB", True), ("A", True), ("AB", True))
    assert JourneyCounts.from_rows([*one.rows(), *other.rows()]) == together
    assert together.rows() == [
        ["next", "A", "B", 2], ["start", "A", 3], ["won", "A", 1], ["won", "B", 2], ["won_set", "A", 1],
        ["won_set", "A", "B", 2],
    ]  # fmt: skip
    together.subtract(together)
    assert not together


def test_counts_have_one_form_of_which_every_row_is_a_count():
    counts = counted(("BA", True), ("C", False))
    assert counts.rows() == [
        ["next", "B", "A", 1], ["null", "C", 1], ["null_set", "C", 1], ["start", "B", 1], ["start", "C", 1],
        ["won", "A", 1], ["won_set", "A", "B", 1],
    ]  # fmt: skip
    assert len(counts) == 7
    assert counts != counts.rows()
    assert str(counted(("A", True))) == (
        "JourneyCounts({('start', 'A'): 1, ('won', 'A'): 1, ('won_set', 'A'): 1})"
    )


def test_an_empty_path_counts_nothing():
    assert counted(("", True), ("", False)) == JourneyCounts()


def test_conversions_that_only_the_sets_know_are_refused():
    counts = counted(("A", True), ("A", False))
    counts.change((journeys.WON_SET, "A"), 1)
    counts.change((journeys.NULL_SET, "A"), -1)
    with pytest.raises(ValueError, match="their sets differ"):
        fit(counts)


@pytest.mark.parametrize("module", [fitting, journeys, shapley])
def test_worked_examples_in_the_documentation_are_right(module):
    found = doctest.testmod(module)
    assert found.attempted
    assert not found.failed
