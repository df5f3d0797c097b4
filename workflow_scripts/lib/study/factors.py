"""The factors of the study: what is varied, one at a time around the reference.

A factor is a key of a block of params.yaml, where the reference stands; to add one is a row of `FACTORS`, and what its
levels do is told where the block is used (data/sampling.py, lora/).
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from pydantic import Field

from workflow_scripts.lib.arms import Change
from workflow_scripts.lib.data.choice import Choice
from workflow_scripts.lib.forward.settings import DumpHiddenStates
from workflow_scripts.lib.lora.settings import TuneLora


class Reference(Choice):
    """The setting around which factors vary, but for what the blocks `tune_lora` and `dump_hidden_states` say."""

    template: str = Field("own", description="of all prompts: the data set's own, or with parts put otherwise")

    @property
    def choice(self) -> Choice:
        """The part that sets depend on."""
        return Choice(**self.model_dump(include=set(Choice.model_fields)))


Block = TypeVar("Block", Reference, TuneLora, DumpHiddenStates)

AT_REFERENCE = "reference"  # the cell, and in it the level, that holds the reference setting


class Varied(NamedTuple):
    """The blocks of params.yaml that factors vary."""

    reference: Reference
    tune_lora: TuneLora
    dump_hidden_states: DumpHiddenStates


class Factor(NamedTuple):
    """One thing that a study varies.

    `key` of `block` is what a level is put for; `changes` says what that changes for an arm (lib/arms.py). `along`
    gives the keys that change with it.
    """

    name: str
    block: type[Reference] | type[TuneLora] | type[DumpHiddenStates]
    key: str
    changes: frozenset[Change]
    along: Callable[[Any, Any], dict[str, Any]] = lambda block, level: {}

    @property
    def says(self) -> str:
        """What its levels are."""
        return str(self.block.model_fields[self.key].description)

    def varies(self, block: Reference | TuneLora | DumpHiddenStates) -> bool:
        """Whether it is this block that a level changes."""
        return isinstance(block, self.block)

    def level_of(self, varied: Varied) -> Any:
        """Where the reference stands."""
        return next(getattr(block, self.key) for block in varied if self.varies(block))

    def put(self, block: Block, level: Any) -> Block:
        """The block with the factor at a level."""
        return block.model_copy(update={self.key: level, **self.along(block, level)})


TEMPLATE, SETS, TUNING, MOMENT, POSITION = (
    frozenset[Change]({one}) for one in ("template", "demonstrations", "tuning", "moment", "position")
)
FACTORS = (
    *(Factor(key, Reference, key, SETS) for key in Choice.model_fields),
    Factor("template", Reference, "template", TEMPLATE),
    Factor("strength", TuneLora, "learning_rate", TUNING),
    Factor("modules", TuneLora, "target_modules", TUNING),
    # alpha / r scales the update: it stays, or another rank would be another strength.
    Factor("rank", TuneLora, "r", TUNING, along=lambda block, r: {"alpha": block.alpha * r / block.r}),
    # Adapters of one training run, as they were on the way.
    Factor("path", TuneLora, "steps", MOMENT),
    Factor("position", DumpHiddenStates, "position", POSITION),
)


def factor_named(name: str) -> Factor | None:
    """A factor by its name; None for the reference, which is none."""
    return next((factor for factor in FACTORS if factor.name == name), None)


def level_name(level: Any) -> str:
    """What a level is called in files, tables and figures."""
    return "+".join(level) if isinstance(level, list) else str(level)
