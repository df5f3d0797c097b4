"""What is put into the anchor's run, and what is measured of its answers: by hand."""

import numpy as np
import pytest

from freshness.syntax import modules_of
from workflow_scripts.lib.data.sets import Demonstration, DemonstrationSet
from workflow_scripts.lib.patching.level import labels_shown
from workflow_scripts.lib.patching.measures import (
    ACCURACY,
    AGREEMENT,
    EXACT_MATCH,
    LOG_PROB,
    NONE,
    RECOVERED,
    RECOVERED_LOG_PROB,
    SHOWN_LABEL,
    Predicted,
    Written,
    rows_of,
)
from workflow_scripts.lib.patching.patches import (
    OTHER_DRAW_DIRECTION,
    OTHER_QUERY_STATE,
    OWN_DIRECTION,
    OWN_STATE,
    PATCHES,
    States,
)

ANCHOR = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
ADDED = np.array([[[1.0, 2.0], [3.0, 4.0], [5.0, 9.0]], [[0.0, 0.0], [6.0, 0.0], [0.0, 8.0]]])
STATES = States(ANCHOR, ANCHOR + ADDED, (0, 1, 0))


def test_the_arms_own_state_is_put_in_as_it_is():
    assert np.array_equal(OWN_STATE.make(STATES), ANCHOR + ADDED)


def test_another_query_has_another_label_and_its_state_is_of_the_same_draw():
    made = OTHER_QUERY_STATE.make(STATES)
    assert np.array_equal(made[:, :2], (ANCHOR + ADDED)[:, [1, 2]])
    assert np.isnan(made[:, 2]).all(), "query 1 is the only one of another label, and serves once"


def test_a_direction_knows_nothing_of_the_query_that_it_is_added_for():
    made = OWN_DIRECTION.make(STATES)
    assert made[0].tolist() == [[4.0, 6.5], [13.0, 5.5], [2.0, 13.0]]
    changed = (ANCHOR + ADDED).copy()
    changed[:, 1] += 100.0
    again = OWN_DIRECTION.make(STATES._replace(arm=changed))
    assert np.array_equal(again[:, 1], made[:, 1])
    assert not np.array_equal(again[:, 0], made[:, 0])


def test_another_draws_direction_is_the_next_ones():
    made, own = OTHER_DRAW_DIRECTION.make(STATES), OWN_DIRECTION.make(STATES)
    assert np.array_equal(made, own[::-1])


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.name)
def test_what_one_query_of_one_draw_cannot_give_is_none(patch):
    made = patch.make(States(ANCHOR[:1], ANCHOR[:1] + ADDED[:1, :1], (0,)))
    assert made.shape == (1, 1, 2)
    assert np.isnan(made).all() == (patch is not OWN_STATE)


GOLD = np.array([0, 0, 1, 1])
RUN = Predicted(
    patched=np.array([[0, 1, 1, NONE], [0, 0, 1, 0]]),
    arm=np.array([[0, 0, 1, 1], [0, 1, 1, 0]]),
    anchor=np.array([1, 1, 1, 0]),
    gold=GOLD,
    shown=np.array([[1, 1, 0, 0], [0, 0, NONE, NONE]]),
)


def rows(run):
    return {(row["measure"], row["draw"]): row for row in rows_of(run, [3, 7])}


def values(run, measure):
    found = rows(run)
    return [found[measure.name, draw]["value"] for draw in (3, 7)]


def test_accuracy_and_agreement_are_of_the_queries_that_had_something_put_in():
    assert values(RUN, ACCURACY) == [pytest.approx(2 / 3), 3 / 4]
    assert values(RUN, AGREEMENT) == [pytest.approx(2 / 3), 3 / 4]
    first = rows(RUN)[ACCURACY.name, 3]
    assert (first["queries"], first["excluded"], first["answers"]) == (3, 1, "all")


def test_a_sets_own_label_counts_where_it_is_not_the_gold_one():
    assert values(RUN, SHOWN_LABEL) == [pytest.approx(1 / 3), None]
    assert rows(RUN)[SHOWN_LABEL.name, 7]["excluded"] == 4


def test_what_is_recovered_is_a_share_of_the_arms_gain():
    even = RUN._replace(patched=np.array([[0, 1, 1, 0], [0, 0, 1, 0]]), arm=np.array([[0, 0, 1, 0]] * 2))
    # The anchor is right of 1 in 4, the arm of 3 in both draws, the patch of 2 and of 3.
    assert values(even, RECOVERED) == pytest.approx([1 / 2, 1.0])


def test_the_draws_values_of_what_is_recovered_are_the_jackknifes():
    # The patch gains 1 and 2, the arm 3 and 1 queries.
    uneven = RUN._replace(patched=np.array([[0, 1, 1, 0], [0, 0, 1, 0]]), arm=np.array([[0, 0, 1, 1], [0, 1, 1, 0]]))
    whole = 3 / 4
    assert values(uneven, RECOVERED) == pytest.approx([2 * whole - 2 / 1, 2 * whole - 1 / 3])


TEXTS = Written(
    patched=np.array([[-1.0, -3.0, np.nan], [-2.0, -1.0, -2.0]]),
    right=np.array([[1.0, 0.0, np.nan], [0.0, 1.0, 0.0]]),
    arm=np.array([[-1.0, -1.0, -1.0], [-2.0, -2.0, -1.0]]),
    anchor=np.array([-3.0, -3.0, -3.0]),
)


def test_answers_of_generation_have_measures_of_their_own():
    found = rows(TEXTS)
    assert {name for name, _ in found} == {LOG_PROB.name, EXACT_MATCH.name, RECOVERED_LOG_PROB.name}
    assert values(TEXTS, LOG_PROB) == pytest.approx([-2, -5 / 3])
    assert values(TEXTS, EXACT_MATCH) == pytest.approx([1 / 2, 1 / 3])
    assert (found[EXACT_MATCH.name, 3]["queries"], found[EXACT_MATCH.name, 3]["excluded"]) == (2, 1)
    # The patch gains 2 and 4 nats, the arm 4 and 4 of the queries that had something put in.
    whole = 6 / 8
    assert values(TEXTS, RECOVERED_LOG_PROB) == pytest.approx([2 * whole - 4 / 4, 2 * whole - 2 / 4])


def test_nothing_is_recovered_of_no_gain():
    still = RUN._replace(arm=np.array([[1, 1, 1, 0]] * 2))
    assert values(still, RECOVERED) == [None, None]
    assert rows(still)[RECOVERED.name, 3]["excluded"] == 4


def test_nothing_is_recovered_of_a_gain_that_rests_on_one_draw():
    resting = RUN._replace(arm=np.array([[0, 0, 1, 1], [1, 1, 1, 0]]))
    assert values(resting, RECOVERED) == [None, None]


def test_one_draw_recovers_its_own_share():
    one = RUN._replace(**{name: getattr(RUN, name)[1:] for name in ("patched", "arm", "shown")})
    (row,) = [row for row in rows_of(one, [0]) if row["measure"] == RECOVERED.name]
    assert row["value"] == pytest.approx(2 / 1)  # the patch is right of 3, the arm of 2, the anchor of 1


def shown(*labels):
    return DemonstrationSet(tuple(Demonstration(str(i), {}, *one) for i, one in enumerate(labels)))


def test_a_set_shows_a_label_where_it_shows_one_alone():
    words = ["a", "b", "c", "d"]
    given = shown(("b", "a"), ("b", "a"), ("a", "b"), ("c", "c"), ("d", "c"))
    assert labels_shown(given, words).tolist() == [1, 0, NONE, NONE]


def test_no_list_of_arms_contrasts_or_measures_makes_patched_runs_stale():
    modules = modules_of("workflow_scripts.patch_hidden_states")
    assert "workflow_scripts.lib.patching.patches" in modules
    assert not [
        name for name in modules if name.startswith(("workflow_scripts.lib.measures", "workflow_scripts.lib.arms"))
    ]
