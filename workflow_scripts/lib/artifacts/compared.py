"""What a compared cell is on disk: a table of measures and one of products of updates."""

import pyarrow as pa

INT, TEXT, FLOAT = pa.int32(), pa.string(), pa.float64()
SIMILARITY = pa.schema(
    {"level": TEXT, "draw": INT, "layer": INT, "one": TEXT, "other": TEXT, "match": TEXT, "measure": TEXT}
    | {"answers": TEXT, "value": FLOAT, "queries": INT, "excluded": INT}
)
PRODUCTS = pa.schema(
    {"level": TEXT, "layer": INT, "one": TEXT, "other": TEXT, "draws": pa.list_(INT)}
    | {"same_query": pa.list_(FLOAT), "all_queries": pa.list_(FLOAT), "queries": INT}
)
