"""The measures of states and of answers, and the contrasts that they are taken of. To add one: a function and a row."""

import math
from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from workflow_scripts.lib.measures import on_answers, on_states, on_texts
from workflow_scripts.lib.measures.kinds import Accord, Behaviour, Change, Derived, Measure, Similarity

COSINE = Similarity("cosine", "cosine", "cos(h_one, h_other)", on_states.state)
UPDATE_COSINE = Similarity(
    "update_cosine", "update cosine", "cos(h_one - h_A, h_other - h_A)", on_states.update, of_updates=True
)
PARTIAL_COSINE = Similarity(
    "partial_cosine",
    "partial cosine",
    "cosine of the parts of h_one and h_other that are orthogonal to h_A",
    on_states.part_off_anchor,
    of_updates=True,
)
STANDARDISED_COSINE = Similarity(
    "standardised_cosine",
    "standardised cosine",
    "cosine with every dimension z-scored by the anchor's states of held-out queries",
    on_states.standardised,
)
LABEL_FREE_UPDATE_COSINE = Similarity(
    "label_free_update_cosine",
    "label-free update cosine",
    "update cosine without what tells the label words apart",
    on_states.label_free_update,
    of_updates=True,
    of_labels=True,
)
DEBIASED_CKA = Similarity(
    "debiased_cka",
    "debiased CKA",
    "linear centred kernel alignment over queries, HSIC without bias",
    on_states.centred_gram,
    by_query=False,
)
MUTUAL_NEIGHBOURS = Similarity(
    "mutual_neighbours",
    "mutual nearest neighbours",
    "share of a query's k nearest queries that both have; by chance k / (n - 1), k = 10 but at most half of the others",
    on_states.neighbours,
    by_query=False,
)
MOVEMENT = Change("movement", "movement", "|h - h_A| / |h_A|", on_states.movement)
LABEL_ALIGNMENT = Change(
    "label_alignment",
    "alignment with labels",
    "share of |h - h_A|^2 in the span of what tells the label words apart",
    on_states.label_alignment,
    of_labels=True,
)
ACCURACY = Behaviour("accuracy", "accuracy, label set", "gold label likeliest of the labels", on_answers.accuracy)
OPEN_ACCURACY = Behaviour(
    "open_accuracy", "accuracy, open", "gold label's tokens likeliest of all tokens", on_answers.open_accuracy
)
KL_FROM_ANCHOR = Behaviour(
    "kl_from_anchor",
    "divergence from the anchor",
    "Kullback-Leibler, of distributions over labels, in bits",
    on_answers.kl_from_anchor,
    of_updates=True,
    bounds=(0.0, math.inf),
)
LOG_PROB_PER_TOKEN = Behaviour(
    "log_prob_per_token",
    "log-probability per token",
    "of the data set's answer in generation, nats, mean over its tokens with those that end it",
    on_texts.log_prob,
    bounds=(-math.inf, 0.0),
    kind=on_texts.Scored,
)
EXACT_MATCH = Behaviour(
    "exact_match", "exact match", "greedy answer is the data set's", on_texts.exact_match, kind=on_texts.Written
)
CHRF = Behaviour("chrf", "chrF", "sacrebleu's chrF2 of the greedy answer, of 1", on_texts.chrf, kind=on_texts.Written)
AGREEMENT = Accord("agreement", "agreement", "same label predicted", on_answers.agreement)
JENSEN_SHANNON = Accord(
    "jensen_shannon",
    "Jensen-Shannon divergence",
    "of distributions over labels, in bits",
    on_answers.jensen_shannon,
)
REC2FTP = Accord(
    "rec2ftp",
    "Rec2FTP",
    "share right in the one of those right in the other and wrong in the anchor",
    on_answers.recall_of_tuning,
    of_updates=True,
)
SAME_TEXT = Accord("same_text", "same text", "same greedy answer", on_texts.same_text, kind=on_texts.Written)
NOISE = Derived("noise", "noise", "how far the anchor run again is from itself, over the length of the update")
MARGIN = Derived("margin", "margin", "cosine of two arms less the larger of their cosines with the anchor")
MOVED = Derived("moved", "moved", "share of adapters that moved and whose loss fell")
RELEVANCE = Derived(
    "relevance",
    "relevance",
    "similarity of a query and its own demonstrations, by what `sample_demonstrations.relevance` says",
    bounds=(-1.0, 1.0),
)

SIMILARITIES = (
    COSINE,
    UPDATE_COSINE,
    PARTIAL_COSINE,
    STANDARDISED_COSINE,
    LABEL_FREE_UPDATE_COSINE,
    DEBIASED_CKA,
    MUTUAL_NEIGHBOURS,
)
CHANGES = (MOVEMENT, LABEL_ALIGNMENT)
BEHAVIOURS = (ACCURACY, OPEN_ACCURACY, LOG_PROB_PER_TOKEN, EXACT_MATCH, CHRF, KL_FROM_ANCHOR)
ACCORDS = (AGREEMENT, JENSEN_SHANNON, REC2FTP, SAME_TEXT)
DERIVED = (NOISE, MARGIN, MOVED, RELEVANCE)
HOW_WELL = (ACCURACY, LOG_PROB_PER_TOKEN)  # what answers are told by where one number is: of labels, of texts
HOW_ALIKE = (AGREEMENT, SAME_TEXT)
MEASURES: tuple[Measure, ...] = (*SIMILARITIES, *CHANGES, *BEHAVIOURS, *ACCORDS, *DERIVED)

HEADLINE = UPDATE_COSINE  # its pooled form is the sum of the parts


class Named(Protocol):
    """A row of a list: a measure or a contrast."""

    @property
    def name(self) -> str:
        """What params.yaml and tables call it."""


Row = TypeVar("Row", bound=Named)


def named(rows: Sequence[Row], names: Iterable[str]) -> list[Row]:
    """The rows that have these names, in the list's order; KeyError for a name that none has."""
    wanted = dict.fromkeys(names)
    unknown = [name for name in wanted if name not in {row.name for row in rows}]
    if unknown:
        raise KeyError(f"no row is called {', '.join(unknown)}; there are {', '.join(row.name for row in rows)}")
    return [row for row in rows if row.name in wanted]
