"""When is an artifact fresh? When its recipe is the one we would use now, and its bytes are those sealed with it."""

from collections.abc import Iterator
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import Any

from freshness import seal
from freshness.contents import PARTS, load_sealed
from freshness.recipes import Recipes

FOUND = ("missing", "intact", "differences", "_made_by", "_part")  # asked of a job by all that need it


class Judge:
    """Holds what has been made against the recipes. What it finds is kept until `again`."""

    def __init__(self, recipes: Recipes) -> None:
        self.recipes = recipes
        for method in FOUND:
            setattr(self, method, cache(getattr(self, method)))

    def again(self) -> None:
        """Forget what was found: some artifacts are there now that were not."""
        for method in FOUND:
            getattr(self, method).cache_clear()

    def missing(self, job: str) -> bool:
        """Whether any output of a job is not there."""
        return not all(Path(path).exists() for path in self.recipes.outputs(job).values())

    def intact(self, job: str) -> dict[str, Any] | None:
        """What is sealed with a job's artifact, if its bytes are those."""
        return seal.intact(self.recipes.outputs(job))

    def differences(self, job: str) -> list[str]:
        """What makes a job's artifact stale, in words; nothing if it is fresh, or not there at all."""
        outputs = self.recipes.outputs(job)
        if not any(Path(path).exists() for path in outputs.values()):
            return []
        sealed = load_sealed(seal.recipe_path(job))
        if sealed is None:
            return [f"{job} has no recipe"]
        if seal.name(sealed) != self.recipes.name(job):
            return list(self._compare(job, sealed)) or [f"{job} was made by another recipe"]
        if refused := self.not_accepted(sealed):
            return [f"{job} was made with {library} {release}" for library, release in refused.items()]
        return [f"{path} is not as it was made" for path in seal.altered(outputs, sealed)] or [
            f"{path} has other bytes than {job} was made from" for path in self.other_bytes(job, sealed)
        ]

    def not_accepted(self, sealed: dict[str, Any]) -> dict[str, str]:
        """Library -> release that an artifact was made with, where this study's `counts_as` does not accept it."""
        accepted = sealed.get("accepted", {})
        return {library: release for library, release in accepted.items() if library not in self.recipes.counts_as}

    def other_bytes(self, job: str, sealed: dict[str, Any]) -> list[str]:
        """Inputs of the very recipe, there and whole, that are not what a job's artifact was made from."""
        return [
            one["outputs"][one["output"]]
            for name, artifacts in self.recipes.artifacts_of(job).items()
            for one, was in zip_longest(artifacts, sealed["made_from"].get(name, [])[: len(artifacts)])
            if self._made_by(input_ := seal.first(one["outputs"])) == one["recipe"]
            and self._part(input_, one["output"]) != was
        ]

    def _made_by(self, job: str) -> str | None:
        """Name of the recipe that a job's artifact was made by, if its bytes are those that were sealed."""
        found = self.intact(job)
        return seal.name(found) if found else None

    def _part(self, job: str, output: str) -> str:
        """Digest of the bytes of one output of an artifact that is whole."""
        return seal.part(self.intact(job) or {"bytes": {}}, output)

    def _compare(self, job: str, have: dict[str, Any]) -> Iterator[str]:
        want = self.recipes.recipe(job)
        for part in PARTS:
            before, now = have.get(part, {}), want[part]
            for key in sorted(before.keys() | now.keys()):
                was, is_ = before.get(key), now.get(key)
                if was != is_ and part == "inputs":
                    yield f"{self._input(job, key, was or [], is_ or [])} changed"
                elif was != is_:
                    yield f"code {key} changed" if part == "code" else f"{key} was {was}, is {is_}"

    def _input(self, job: str, name: str, was: list[str], is_: list[str]) -> str:
        """The first path of an input that differs."""
        paths = self.recipes.inputs_of(job).get(name, [])
        found = zip(paths, was, is_, strict=False)
        return next((path for path, one, other in found if one != other), f"the number of {name}")
