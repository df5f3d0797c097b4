"""The study's estimates as tables: of similarities, of the parts of the update similarity, and of levels' effects."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from workflow_scripts.lib.arms import ARMS
from workflow_scripts.lib.measures import MEASURES
from workflow_scripts.lib.measures.contrasts import CONTRASTS, DIFFERENCES
from workflow_scripts.lib.patching.measures import PATCH_MEASURES
from workflow_scripts.lib.results.cells import KEYS, NO_LAYER, NOTHING, STAND_INS, Draws
from workflow_scripts.lib.results.derived import effects, is_difference
from workflow_scripts.lib.results.permutation import holm, sign_flip
from workflow_scripts.lib.results.settings import AggregateSimilarity
from workflow_scripts.lib.results.statistics import bands, intervals

INT, REAL, TEXT = pa.int32(), pa.float64(), pa.string()
TYPES = {key: INT if key == "layer" else TEXT for key in KEYS}
ENDS = ["low", "high", "band_low", "band_high"]
COUNTS = {"draws": INT, "queries": INT, "excluded": INT}
SIMILARITY = pa.schema(TYPES | dict.fromkeys(["mean", *ENDS, "p", "p_holm"], REAL) | COUNTS)
EFFECT_KEYS = [key for key in KEYS if key != "answers"]
EFFECTS = pa.schema(
    {key: TYPES[key] for key in EFFECT_KEYS}
    | dict.fromkeys(["mean", "low", "high", "p", "p_holm"], REAL)
    | {"draws": INT}
)
WITHOUT_SET = [arm.name for arm in ARMS if not arm.given]
# Where draws meet other draws, two of them have one value between them, and no spread.
ACROSS = [contrast.name for contrast in CONTRASTS if contrast.combine]
ACROSS += [one.name for one in DIFFERENCES if one.of.combine or one.less.combine]
OF_OTHER_DRAWS = [one.name for one in DIFFERENCES if one.less.combine]
FEWEST = 3


def similarity_table(draws: Draws, settings: AggregateSimilarity, seed: int) -> pa.Table:
    """Mean over draws, interval and band of every row; p of the differences."""
    interval = intervals(draws.by_draw, **settings.model_dump(), seed=seed)
    low, high = _bands(draws, settings, seed)
    p, tested = np.full(len(draws.by_draw), np.nan), is_difference(draws.keys)
    p[tested] = sign_flip(draws.by_draw[tested], seed=seed)
    found = draws.keys.assign(
        **interval._asdict(), band_low=low, band_high=high, p=p, queries=draws.queries, excluded=draws.excluded
    )
    found.loc[_too_few(found) | _by_construction(found), [*ENDS, "p"]] = np.nan
    _keep_within_bounds(found)
    found["p_holm"] = _over_levels(found, KEYS)
    return _table(found, [*ENDS, "p", "p_holm"], SIMILARITY)


def effects_table(draws: Draws, reference: Mapping[str, str], settings: AggregateSimilarity, seed: int) -> pa.Table:
    """Every level less the reference: mean over draws, interval, p, and p corrected for the factor's levels."""
    of = effects(draws, reference)
    interval = intervals(of.by_draw, **settings.model_dump(), seed=seed)
    found = of.keys.assign(**interval._asdict(), p=sign_flip(of.by_draw, seed=seed))
    nothing_to_tell = _without_set(found) | _too_few(found) | _by_construction(found)
    found.loc[nothing_to_tell, ["low", "high", "p"]] = np.nan
    found["p_holm"] = _over_levels(found, EFFECT_KEYS)
    return _table(found, ["low", "high"], EFFECTS)


def _over_levels(found: pd.DataFrame, keys: list[str]) -> np.ndarray:
    """The tests' p, corrected for the levels of a factor: (rows,)."""
    families = found.groupby([key for key in keys if key != "level"], sort=False).ngroup().to_numpy()
    return holm(found["p"].to_numpy(), families)


def _keep_within_bounds(found: pd.DataFrame) -> None:
    """Cut intervals and bands off where no mean of the measure can lie; differences have no such bounds."""
    bounds = {measure.name: measure.bounds for measure in (*MEASURES, *PATCH_MEASURES)}
    least, most = (found["measure"].map({name: both[i] for name, both in bounds.items()}) for i in range(2))
    own = ~is_difference(found)
    for name in ENDS:
        found[name] = found[name].where(~own, found[name].clip(least, most))


def _too_few(found: pd.DataFrame) -> np.ndarray:
    """Which rows have too few draws for an interval of what is across draws."""
    return (found["match"].isin(ACROSS) & (found["draws"] < FEWEST)).to_numpy()


def _by_construction(keys: pd.DataFrame) -> np.ndarray:
    """Which differences are zero but for rounding: of an arm that no set changes, another draw's state is its own."""
    without = keys["one"].isin(WITHOUT_SET) | keys["other"].isin(WITHOUT_SET)
    return (keys["match"].isin(OF_OTHER_DRAWS) & without).to_numpy()


def _bands(draws: Draws, settings: AggregateSimilarity, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the bands over layers: (rows,) each, NaN for what has no layer."""
    rows = np.flatnonzero(draws.keys["layer"] != NO_LAYER)
    keys = draws.keys.iloc[rows]
    curves = keys.groupby([key for key in KEYS if key != "layer"], sort=False).ngroup().to_numpy()
    layers = keys["layer"].to_numpy()
    values = np.full((curves.max(initial=-1) + 1, layers.max(initial=-1) + 1, draws.by_draw.shape[1]), np.nan)
    values[curves, layers] = draws.by_draw[rows]
    ends = np.full((2, len(draws.by_draw)), np.nan)
    ends[:, rows] = np.stack(bands(values, **settings.model_dump(), seed=seed))[:, curves, layers]
    return ends[0], ends[1]


def _without_set(keys: pd.DataFrame) -> np.ndarray:
    """Which rows are of no set of demonstrations: equal values in every draw are no evidence of a narrow interval."""
    return (keys["one"].isin(WITHOUT_SET) & keys["other"].isin([*WITHOUT_SET, NOTHING])).to_numpy()


def _table(found: pd.DataFrame, of_sets: list[str], schema: pa.Schema) -> pa.Table:
    """The frame's columns as the schema has them; columns in `of_sets` only for rows that are of sets."""
    found.loc[_without_set(found), of_sets] = np.nan
    table = pa.Table.from_pandas(found[schema.names], schema=schema, preserve_index=False)
    for name, stand_in in STAND_INS.items():
        known = pc.not_equal(table[name], stand_in)
        table = table.set_column(table.schema.get_field_index(name), name, pc.if_else(known, table[name], None))
    return table
