"""The study of a params file as it is usually written: one script, one prompt at a time, a Trainer for each adapter.

python -m benchmarks.usual_study --metrics metrics.json
python -m benchmarks.usual_study --params benchmarks/look.yaml --metrics metrics.json    # a look, in seconds

No Snakemake, no DVC, and none of the tool's engines: from the tool come how models are prepared, the data, the
draws and the prompts, so that numbers can be compared. How it tunes and what it measures stands beside it
(usual_tuning.py, usual_measures.py). Prints wall time by part.
"""

import argparse
import json
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import PeftModel
from scipy.stats import DegenerateDataWarning, bootstrap
from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from benchmarks.tables import table
from benchmarks.usual_measures import Answers, answered, held_against_other_draws, measured
from benchmarks.usual_tuning import moved, tuned
from workflow_scripts.lib.artifacts.provenance import digest
from workflow_scripts.lib.data.datasets import prepare
from workflow_scripts.lib.data.prompts import Prompts
from workflow_scripts.lib.data.sampling import sample
from workflow_scripts.lib.data.sets import Demonstration, DemonstrationSet
from workflow_scripts.lib.data.shown import reordered
from workflow_scripts.lib.models.load import load_model
from workflow_scripts.lib.models.sources import Model
from workflow_scripts.lib.study.grid import REFERENCE, Grid
from workflow_scripts.lib.study.settings import Study, read_study
from workflow_scripts.prepare_model import prepare_model

THREADS = "torch's own choice if left out; 1 is far faster for a small model where other work shares the cores"
Values = dict[tuple[Any, ...], list[float]]  # (factor, level, layer, measure) -> a value for each draw

SECONDS: dict[str, float] = defaultdict(float)


@contextmanager
def part(name: str) -> Iterator[None]:
    """Add the block's wall time to a part of the study."""
    start = time.perf_counter()
    yield
    SECONDS[name] += time.perf_counter() - start


@torch.inference_mode()
def ask(model: torch.nn.Module, prompts: Sequence[list[int]], label_tokens: list[int]) -> Answers:
    """One prompt after the other, with all hidden states of each."""
    states, labels, tokens = [], [], []
    for ids in prompts:
        output = model(input_ids=torch.tensor([ids]), output_hidden_states=True)
        states.append(torch.stack([layer[0, -1] for layer in output.hidden_states]).numpy())
        last = output.logits[0, -1]
        labels.append(int(last[label_tokens].argmax()))
        tokens.append(int(last.argmax()))
    return Answers(np.stack(states), np.array(labels), np.array(tokens))


def prepared_model(source: Model, study: Study, folder: Path) -> None:
    """Write a model and its tokenizer: as the workflow prepares them, in the form that transformers reads."""
    prepare_model(source=source, settings=study.prepare_model, model=folder.with_name(f"{folder.name}-prepared"))
    loaded = load_model(folder.with_name(f"{folder.name}-prepared"))
    loaded.model.save_pretrained(folder)
    loaded.tokenizer.save_pretrained(folder)


class Cell:
    """One (model, data set) of the study."""

    def __init__(self, study: Study, dataset: str, folder: Path, output: Path) -> None:
        source = study.datasets[dataset]
        self.study, self.folder, self.output = study, folder, output
        pool, queries, seed = study.prepare_dataset.pool, study.queries, study.seed
        self.data = prepare(source, pool=pool, queries=queries, seed=seed).examples
        self.model = AutoModelForCausalLM.from_pretrained(folder).eval()
        self.prompts = Prompts(AutoTokenizer.from_pretrained(folder), self.data.template, self.data.words)
        self.queries = [self.prompts.query(one.fields) for one in self.data.queries]
        self.label_tokens = [self.prompts.labels[word][0] for word in self.data.words]
        self.gold = np.array([self.data.words.index(one.label) for one in self.data.queries])
        with part("anchor states"):
            self.anchor = self.answers(self.model)

        self.updates: dict[str, list[np.ndarray]] = {"icl": [], "it": []}  # at the reference and the last layer
        self.known: dict[tuple[int, ...], Answers] = {}  # prefix -> what the frozen model answers after it

    def answers(self, model: torch.nn.Module, shown: Sequence[Demonstration] = ()) -> Answers:
        """What a model answers after demonstrations."""
        prefix = self.prompts.prefix(shown)
        return ask(model, [prefix + query for query in self.queries], self.label_tokens)

    def icl(self, shown: Sequence[Demonstration]) -> Answers:
        """The same of the frozen model; a factor that only tunes otherwise shows nothing new."""
        key = tuple(self.prompts.prefix(shown))
        if key not in self.known:
            self.known[key] = self.answers(self.model, shown)
        return self.known[key]

    def run(self) -> Values:
        """All settings and draws."""
        study, values = self.study, defaultdict[tuple[Any, ...], list[float]](list)
        grid = Grid(study.factors, study.varied, study.arms, study.models, study.imported)
        for name, setting in grid.settings.items():
            choice, self.tuning = grid.choice(name), grid.tuning(name)
            for draw in range(study.draws):
                key = f"{study.seed}/{draw}"
                drawn = sample(self.data, choice, key=key, balanced=study.sample_demonstrations.balanced)
                made = self.compared(drawn, draw, setting == REFERENCE, self.output / name / str(draw))
                for (layer, measure), value in made.items():
                    values[setting.factor, setting.level, layer, measure].append(value)
        return values

    def compared(
        self, drawn: DemonstrationSet, draw: int, reference: bool, folder: Path
    ) -> dict[tuple[int | None, str], float]:
        """(layer, measure) -> value of one draw; adapter and states are kept in a folder."""
        folder.mkdir(parents=True)
        arms = {"anchor": self.anchor}
        with part("ICL states"):
            arms["icl"] = self.icl(drawn.demonstrations)
            if reference and "icl-reordered" in self.study.arms:
                arms["icl-reordered"] = self.answers(self.model, reordered(drawn))
        model, trainer = self.tuned(drawn, [self.study.seed, draw], folder / "tuned")
        with part("IT states"):
            arms["it"] = self.answers(model)
            if reference and "both" in self.study.arms:
                arms["both"] = self.answers(model, drawn.demonstrations)
        if reference and "it-reseeded" in self.study.arms:
            model, _ = self.tuned(drawn, [self.study.seed, draw, "again"], folder / "reseeded")
            with part("IT states"):
                arms["it-reseeded"] = self.answers(model)
        with part("measures"):
            np.savez(folder / "states.npz", **{name: one.states for name, one in arms.items()})
            return self.measured(arms, reference) | {(None, "moved"): float(moved(trainer))}

    def tuned(self, drawn: DemonstrationSet, seed: list[Any], folder: Path) -> tuple[PeftModel, Trainer]:
        """A model with an adapter that was tuned on a set."""
        with part("tuning"):
            base = AutoModelForCausalLM.from_pretrained(self.folder)
            examples = [self.prompts.completion(one) for one in drawn.demonstrations]
            model, trainer = tuned(base, examples, self.tuning, int(digest(seed), 16) % 2**32)
            model.save_pretrained(folder)
        return model, trainer

    def measured(self, arms: dict[str, Answers], reference: bool) -> dict[tuple[int | None, str], float]:
        """(layer, measure) -> value."""
        anchor, icl, it = (arms[name] for name in ("anchor", "icl", "it"))
        by_layer = measured(anchor, icl, it).items()
        values = {(layer, name): float(one) for name, means in by_layer for layer, one in enumerate(means)}
        tokens = np.array(self.label_tokens)[self.gold]
        if reference:
            for name, some in self.updates.items():
                some.append((arms[name].states - anchor.states)[:, -1].astype(np.float64))
        return values | {(None, name): one for name, one in answered(anchor, icl, it, self.gold, tokens).items()}


def interval(values: list[float], study: Study) -> list[float]:
    """Bootstrap interval of the mean over draws."""
    settings = study.aggregate_similarity
    with part("bootstrap"):
        made = bootstrap(
            (values,),
            np.mean,
            n_resamples=settings.resamples,
            confidence_level=settings.confidence,
            method="percentile",
            rng=study.seed,
        )
    return [float(made.confidence_interval.low), float(made.confidence_interval.high)]


def summary(values: Values, study: Study) -> list[dict[str, Any]]:
    """A row an estimate: mean over draws and its interval."""
    names = ("factor", "level", "layer", "measure")
    return [
        dict(zip(names, key, strict=True))
        | {"mean": float(np.mean(one)), "interval": interval(one, study) if len(one) > 1 else None}
        for key, one in values.items()
    ]


def metrics(values: Values, updates: dict[str, list[np.ndarray]], study: Study) -> dict[str, Any]:
    """Numbers of metrics.json: at the reference setting and the last layer."""
    last = max(layer for _, _, layer, _ in values if layer is not None)
    found: dict[str, Any] = {"draws": study.draws}
    for (factor, _, layer, measure), one in values.items():
        if factor == REFERENCE.factor and layer in (None, last):
            name, _, of = measure.partition(" ")
            if name == "moved":
                found["adapters_not_moved"] = len(one) - int(sum(one))
            else:
                found.setdefault(name, {})[of] = float(np.mean(one))
    held = held_against_other_draws(**updates)
    found["parts"] = {"whole": {"contribution": {"mean": held.pop("whole")}}}
    return found | {"contrasts": {"update_cosine": held}}


def run(study: Study, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Model -> data set -> metrics, and the same for all estimates."""
    found: dict[str, Any] = {}
    estimates: dict[str, Any] = {}
    for name, source in study.models.items():
        with part("model"):
            prepared_model(source, study, folder / "models" / name)
        for dataset in study.datasets:
            cell = Cell(study, dataset, folder / "models" / name, folder / name / dataset)
            values = cell.run()
            found.setdefault(name, {})[dataset] = metrics(values, cell.updates, study)
            estimates.setdefault(name, {})[dataset] = summary(values, study)
    return found, estimates


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--metrics", type=Path, required=True, help="JSON file to write, beside it all estimates")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help=THREADS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    set_verbosity_error()
    disable_progress_bar()
    # At the embeddings no query has an update, hence no update cosine; what does not vary has no interval.
    warnings.filterwarnings("ignore", category=RuntimeWarning)
    warnings.filterwarnings("ignore", category=DegenerateDataWarning)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        found, estimates = run(read_study(options.params), Path(folder))
    options.metrics.write_text(json.dumps(found, indent=2, sort_keys=True) + "\n")
    options.metrics.with_suffix(".estimates.json").write_text(json.dumps(estimates) + "\n")
    whole = time.perf_counter() - start
    rows = [[name, f"{taken:.1f}"] for name, taken in {**SECONDS, "all": whole}.items()]
    print(table(["part", "seconds"], rows))


if __name__ == "__main__":
    main()
