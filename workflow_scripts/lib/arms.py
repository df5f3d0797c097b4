"""The arms of the study: ways of giving a model a set of demonstrations, by its prompt, by its weights, or both.

To add one is a row of `ARMS`; a new way of showing a set is a function in data/shown.py, a new way of tuning a row of
`WEIGHTS`. params.yaml says which arms a study has. No stage that makes states imports this module (rules hand them
what a row says), so that a row more makes no state anew but its own.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

Role = Literal["base", "shown", "tuned", "both", "ceiling", "imitation", "control", "imported", "repeat"]
Change = Literal["template", "demonstrations", "tuning", "moment", "position"]
SETS_DEPEND_ON = frozenset[Change]({"demonstrations"})


class Weights(NamedTuple):
    """What is tuned on a set's labels, beside the model or in it.

    `trains`: adapters; the keys and values of the demonstrations in a prompt, which start as the model's own; or all
    weights of the model.
    `reseeded` ones start from another seed. With a `teacher` they are tuned to imitate the model whose prompt shows the
    set so (a function of data/shown.py).
    """

    name: str
    trains: Literal["lora", "prefix", "model"] = "lora"
    reseeded: bool = False
    teacher: str | None = None

    @property
    def depends_on(self) -> frozenset[Change]:
        """What adapters change with; those of every moment of their tuning are kept by one training run."""
        return SETS_DEPEND_ON | frozenset[Change]({"template", "tuning"})


class Arm(NamedTuple):
    """One way of giving a model a set of demonstrations.

    `shows`: how the prompt shows the set (a function of data/shown.py), None for not at all. `weights`: what was tuned
    and is put into the model, None for nothing. `everywhere`: made at every setting, or at the reference alone;
    `on_the_way`: there and at the moments of its tuning. `of_another`: what it shows in the set's place is of another
    task. `imported`: it runs through an adapter that was tuned elsewhere, whatever the set. `run`: how states are read
    (dump_hidden_states says more).
    """

    name: str
    heading: str
    role: Role
    shows: str | None = None
    weights: Weights | None = None
    everywhere: bool = True
    on_the_way: bool = False
    of_another: bool = False
    imported: bool = False
    run: Literal["batched", "alone", "float32"] = "batched"

    @property
    def given(self) -> bool:
        """Whether it is given sets of demonstrations at all."""
        return bool(self.shows or self.weights)

    @property
    def compared(self) -> bool:
        """Whether its states and answers are held against those of other arms; the anchor is what all start from."""
        return self.role not in ("base", "repeat")

    @property
    def depends_on(self) -> frozenset[Change]:
        """What an arm's states change with; a setting that changes none of it takes the reference's."""
        shows = SETS_DEPEND_ON if self.shows else frozenset()
        tuned = self.weights.depends_on | frozenset[Change]({"moment"}) if self.weights else frozenset()
        return frozenset[Change]({"template", "position"}) | shows | tuned


TUNED, RESEEDED = Weights("tuned"), Weights("reseeded", reseeded=True)
PREFIX, FULL = Weights("prefix", trains="prefix"), Weights("full", trains="model")
DISTILLED, MISLED = Weights("distilled", teacher="as_drawn"), Weights("misled", teacher="shuffled_labels")
WEIGHTS = (TUNED, RESEEDED, DISTILLED, MISLED, PREFIX, FULL)

ANCHOR = Arm("anchor", "anchor", "base")
ICL = Arm("icl", "ICL", "shown", shows="as_drawn")
IT = Arm("it", "IT", "tuned", weights=TUNED)
ICL_REORDERED = Arm("icl-reordered", "ICL, reordered", "ceiling", shows="reordered", everywhere=False)
IT_RESEEDED = Arm("it-reseeded", "IT, reseeded", "ceiling", weights=RESEEDED, everywhere=False)
ARMS = (
    ANCHOR,
    ICL,
    IT,
    Arm("both", "ICL and IT", "both", shows="as_drawn", weights=TUNED, everywhere=False),
    ICL_REORDERED,
    IT_RESEEDED,
    Arm("distilled", "imitating ICL", "imitation", weights=DISTILLED, everywhere=False),
    Arm("misled", "imitating ICL of shuffled labels", "imitation", weights=MISLED, everywhere=False),
    Arm("prefix", "ICL, its keys and values tuned", "both", "as_drawn", PREFIX, everywhere=False, on_the_way=True),
    Arm("full", "IT, all weights tuned", "tuned", weights=FULL, everywhere=False),
    Arm("length-control", "another task's, as long", "control", "another_task", everywhere=False, of_another=True),
    Arm("imported", "imported adapter", "imported", everywhere=False, imported=True),
    Arm("anchor-alone", "anchor, each query alone", "repeat", run="alone"),
    Arm("anchor-float32", "anchor, in float32", "repeat", run="float32"),
)
QUESTION = (ICL, IT)  # the two arms that the study asks about
CEILINGS = ((ICL, ICL_REORDERED), (IT, IT_RESEEDED))  # an arm, and the same once more: no two arms can be more alike
IMITATIONS = tuple((ICL, arm) for arm in ARMS if arm.role == "imitation")  # an arm, and what was tuned to be like it
REPEATS = tuple(arm for arm in ARMS if arm.role == "repeat")  # the anchor again: what then differs is noise
CHOOSABLE = tuple(arm for arm in ARMS if arm.role != "repeat")


def arm_named(name: str) -> Arm:
    """An arm by its name."""
    return next(arm for arm in ARMS if arm.name == name)


def weights_named(name: str) -> Weights:
    """A way of tuning by its name."""
    return next(weights for weights in WEIGHTS if weights.name == name)


def named(names: Sequence[str]) -> list[Arm]:
    """Arms by their names, in the order of `ARMS`."""
    return [arm for arm in ARMS if arm.name in names]
