"""All measures and contrasts of a level, from arrays: seconds and memory by the number of threads.

python -m benchmarks.compare
python -m benchmarks.compare --draws 3 --queries 20 --layers 2 --d-model 64    # a look, in seconds

The states are random: an arm's are the anchor's and an update, in float32 as they are stored. Reading a layer is here a
copy of them, so that memory is that of real reading and seconds are those of measuring. CPU seconds over the number of
threads are what a machine with nothing else to do would take.
"""

import argparse
import hashlib
import time
from collections.abc import Iterable
from functools import partial

from benchmarks.clock import extra_memory
from benchmarks.tables import table
from workflow_scripts.lib.arms import ANCHOR, CHOOSABLE
from workflow_scripts.lib.measures import MEASURES
from workflow_scripts.lib.measures.contrasts import CONTRASTS
from workflow_scripts.lib.measures.level import Compared, compare
from workflow_scripts.lib.plan.comparing import random_level

COMPARED = [arm.name for arm in CHOOSABLE if arm.everywhere and arm is not ANCHOR]


def digest_of(compared: Iterable[Compared]) -> tuple[int, str]:
    """Number of rows, and a digest of every number in them."""
    count, seen = 0, hashlib.sha256()
    for rows, products in compared:
        count += len(rows)
        seen.update(repr(rows).encode())
        for row in products:
            seen.update(row.same_query.tobytes() + row.all_queries.tobytes())
    return count, seen.hexdigest()


def measure(options: argparse.Namespace) -> None:
    """Print the table; SystemExit where the number of threads changes a number."""
    level = random_level(COMPARED, options.draws, options.queries, options.layers, options.d_model)
    found: dict[int, tuple[int, str]] = {}

    def run(threads: int) -> None:
        found[threads] = digest_of(compare(level, MEASURES, CONTRASTS, threads))

    rows = []
    for threads in options.threads:
        started = time.perf_counter(), time.process_time()
        memory = extra_memory(partial(run, threads))
        took, busy = time.perf_counter() - started[0], time.process_time() - started[1]
        rows.append([threads, f"{took:.1f}", f"{took / options.layers:.2f}", f"{busy:.1f}", f"{memory:.0f}"])
    print(
        f"{options.draws} draws x {options.queries} queries x {options.layers} layers x {options.d_model} dimensions, "
        f"{len(COMPARED)} arms and the anchor, {len(MEASURES)} measures, {len(CONTRASTS)} contrasts: "
        f"{next(iter(found.values()))[0]} rows; by number of threads: {len(set(found.values()))} different results of "
        f"{len(found)}\n"
    )
    print(table(["threads", "seconds", "seconds a layer", "CPU seconds", "peak extra memory, MiB"], rows))
    if len(set(found.values())) > 1:
        raise SystemExit(1)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--draws", type=int, default=30)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--layers", type=int, default=33)
    parser.add_argument("--d-model", type=int, default=4096)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    measure(parser.parse_args())


if __name__ == "__main__":
    main()
