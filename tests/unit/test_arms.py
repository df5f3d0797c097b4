from workflow_scripts.lib.arms import CEILINGS, ICL, IMITATIONS, IT, QUESTION


def test_a_ceiling_is_an_arm_of_the_question_and_the_same_but_for_order_or_seed():
    assert tuple(arm for arm, _ in CEILINGS) == QUESTION == (ICL, IT)
    (_, reordered), (_, reseeded) = CEILINGS
    assert (reordered.role, reordered.shows, reordered.weights) == ("ceiling", "reordered", None)
    assert (reseeded.role, reseeded.shows, reseeded.weights) == ("ceiling", None, IT.weights._replace(**SEED))


def test_an_imitation_is_held_against_what_it_imitates():
    assert [(arm, other.weights.teacher) for arm, other in IMITATIONS] == [
        (ICL, "as_drawn"),
        (ICL, "shuffled_labels"),
    ]


SEED = {"name": "reseeded", "reseeded": True}
