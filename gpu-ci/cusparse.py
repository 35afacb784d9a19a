#!/usr/bin/env python3
"""PageRank in f32 by cuSPARSE's SpMV, through CuPy, on a graph that `ffcm-benches dump` wrote: the rival of the exact π.

Prints nothing but errors; writes one JSON object. Exit codes: 0 done, 1 failed, 2 usage, 3 the result is wrong, 4 no CuPy
or no device.
"""

import argparse
import json
import sys
from pathlib import Path

DAMPING = 0.85
# L1 distance to the exact π that f32 may keep, after the same number of iterations.
ERROR_BOUND = 1e-4


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graph", type=Path, required=True, help="folder that `ffcm-benches dump` wrote")
    parser.add_argument("--json", type=Path, required=True, help="where the report goes")
    parser.add_argument("--rounds", type=int, default=5, help="timed runs (default 5)")
    parser.add_argument("--cpu", action="store_true", help="NumPy in place of CuPy, to try this script; the times say nothing")
    return parser.parse_args()


class Device:
    """CuPy: arrays on the device, SpMV by cuSPARSE, time by the device's own events."""

    def __init__(self):
        import cupy
        import cupyx.scipy.sparse

        cupy.cuda.runtime.getDeviceCount()
        self.xp = cupy
        self.sparse = cupyx.scipy.sparse
        name = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)["name"].decode()
        self.facts = {
            "device": name,
            "cupy": cupy.__version__,
            "cusparse": cupy.cuda.cusparse.getVersion(cupy.cuda.cusparse.create()),
        }

    def matrix(self, offsets, sources):
        """Row v has a 1 for each edge into v."""
        xp = self.xp
        ones = xp.ones(len(sources), dtype=xp.float32)
        columns, rows = xp.asarray(sources.view("int32")), xp.asarray(offsets.astype("int32"))
        matrix = self.sparse.csr_matrix((ones, columns, rows), shape=(len(offsets) - 1,) * 2)
        return lambda x: matrix @ x

    def seconds(self, work):
        start, end = self.xp.cuda.Event(), self.xp.cuda.Event()
        start.record()
        work()
        end.record()
        end.synchronize()
        return self.xp.cuda.get_elapsed_time(start, end) / 1e3

    def to_host(self, array):
        return self.xp.asnumpy(array)


class Host:
    """NumPy, for machines without a device."""

    def __init__(self):
        import numpy

        self.xp = numpy
        self.facts = {"device": "none: NumPy", "numpy": numpy.__version__}

    def matrix(self, offsets, sources):
        np = self.xp
        count = len(offsets) - 1
        rows = np.repeat(np.arange(count), np.diff(offsets.astype("int64")))
        return lambda x: np.bincount(rows, weights=x[sources], minlength=count).astype(np.float32)

    def seconds(self, work):
        import time

        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    def to_host(self, array):
        return array


def load(folder):
    import numpy as np

    facts = json.loads((folder / "graph.json").read_text())
    read = lambda name, kind: np.fromfile(folder / name, dtype=kind)
    offsets, sources = read("offsets.u64", "<u8"), read("sources.u32", "<u4")
    degrees, mass = read("degrees.u32", "<u4"), read("mass.u64", "<u8")
    nodes, edges = facts["nodes"], facts["edges"]
    if (len(offsets), len(sources), len(degrees), len(mass)) != (nodes + 1, edges, nodes, nodes):
        raise ValueError(f"{folder}: files of {nodes} nodes and {edges} edges have other lengths")
    if edges >= 2**31:
        raise ValueError(f"{folder}: {edges} edges are more than 32-bit offsets count")
    return facts, offsets, sources, degrees, mass


def main():
    wanted = arguments()
    try:
        machine = Host() if wanted.cpu else Device()
    except Exception as error:  # Whatever CuPy cannot do here, it cannot serve as a rival.
        print(f"no CuPy or no device: {error}", file=sys.stderr)
        return 4
    facts, offsets, sources, degrees, mass = load(wanted.graph)
    xp, nodes, iterations = machine.xp, facts["nodes"], facts["iterations"]
    multiply = machine.matrix(offsets, sources)
    degrees = xp.asarray(degrees)
    dangling = degrees == 0
    factor = xp.where(dangling, 0, DAMPING / xp.maximum(degrees, 1)).astype(xp.float32)

    def step(x):
        arrived = multiply(x * factor)
        # What is not delivered spreads evenly, as in the exact form.
        pool = xp.float32(1.0) - arrived.sum(dtype=xp.float32)
        return arrived + pool / xp.float32(nodes)

    def rank():
        x = xp.full(nodes, 1.0 / nodes, dtype=xp.float32)
        for _ in range(iterations):
            x = step(x)
        return x

    found = machine.to_host(rank()).astype("float64")
    error = float(abs(found - mass.astype("float64") / 2.0**62).sum())
    x = xp.full(nodes, 1.0 / nodes, dtype=xp.float32)
    multiply(x)
    spmv = sorted(machine.seconds(lambda: [multiply(x) for _ in range(iterations)]) / iterations for _ in range(wanted.rounds))
    whole = sorted(machine.seconds(rank) / iterations for _ in range(wanted.rounds))
    report = machine.facts | facts | {
        "runs": wanted.rounds,
        "spmv_seconds": spmv[0],
        "spmv_seconds_median": spmv[len(spmv) // 2],
        "iteration_seconds": whole[0],
        "iteration_seconds_median": whole[len(whole) // 2],
        "l1_error": error,
        "l1_bound": ERROR_BOUND,
    }
    wanted.json.write_text(json.dumps(report, indent=2) + "\n")
    if not error <= ERROR_BOUND:
        print(f"L1 distance {error:.3e} to the exact π, more than {ERROR_BOUND:.0e}", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, ValueError, KeyError) as problem:
        print(problem, file=sys.stderr)
        sys.exit(1)
