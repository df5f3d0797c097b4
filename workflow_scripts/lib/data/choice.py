"""How demonstrations are chosen: the part of a setting that sets depend on."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from workflow_scripts.lib.strict import Positive, Strict

LabelRule = Literal["gold", "flipped", "random", "permuted"]
InputRule = Literal["real", "shuffled-words", "random-words"]
Task = Literal["own", "another"]
RelevanceRule = Literal["any", "nearest", "random", "farthest"]


class Choice(Strict):
    """How demonstrations are chosen.

    `task: another` takes those of the next data set of the study, as that has them. At `relevance: any` a set serves
    all queries; at its other levels each query has a set of its own.
    """

    shots: Positive = Field(description="demonstrations in a set")
    labels: LabelRule = Field(
        "gold",
        description="beside demonstrations: their own; flipped: each class has the next one's word; random: any; "
        "permuted: each draw gives the classes words of its own, so that each set teaches another task. Of answers in "
        "generation, flipped: the set's, none by its own text; random: any of the pool; permuted: refused",
    )
    inputs: InputRule = Field(
        "real",
        description="texts of demonstrations: their own; shuffled-words: those in another order; random-words: as many "
        "of the pool's",
    )
    order: int = Field(0, ge=0, description="of a set's demonstrations: 0 as drawn, other numbers other orders")
    task: Task = Field(
        "own",
        description="that demonstrations are of; another: the next data set's, in its template and with its labels",
    )
    relevance: RelevanceRule = Field(
        "any",
        description="of demonstrations to the query; any: one set serves all queries; nearest, random, farthest: a set "
        "for each query, of the candidates of the draw",
    )


class Relevance(Strict):
    """How alike a query and an example are, and which queries have sets of their own."""

    by: Literal["tf-idf", "states", "sentences"] = Field(
        "tf-idf",
        description="cosine of: words weighted by how few texts have them; mean states of `model` over a text, less "
        "the pool's mean; vectors of a sentence-transformers model, in a folder (`path`) or of the hub (`id`)",
    )
    queries: Positive = Field(20, description="so many, the data set's first; each costs an adapter a draw and level")
    model: str | None = Field(None, description="by states: one of `models`; its sets serve every model of the study")
    path: Path | None = Field(None, description="by sentences: a folder with modules.json")
    id: str | None = Field(None, description="by sentences: a model of the Hugging Face hub, at `revision`")
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$", description="a commit")] | None = None

    @model_validator(mode="after")
    def _named(self) -> "Relevance":
        needed: dict[str, list[set[str]]] = {
            "tf-idf": [set()],
            "states": [{"model"}],
            "sentences": [{"path"}, {"id", "revision"}],
        }
        given = {name for name in ("model", "path", "id", "revision") if getattr(self, name) is not None}
        if given not in needed[self.by]:
            ways = " or ".join(" and ".join(sorted(some)) or "nothing" for some in needed[self.by])
            raise ValueError(f"by {self.by} takes {ways} beside it, and has {' and '.join(sorted(given)) or 'nothing'}")
        return self


class SampleDemonstrations(Strict):
    """The block of params.yaml that is called as the stage."""

    balanced: bool = Field(
        True, description="classes in equal shares, as far as the number of shots allows; answers are no classes"
    )
    relevance: Relevance = Relevance()

    def used_by(self, choice: Choice) -> "SampleDemonstrations":
        """The same, without what a choice does not look at: that makes none of its sets anew."""
        return self if choice.relevance != "any" else self.model_copy(update={"relevance": Relevance()})
