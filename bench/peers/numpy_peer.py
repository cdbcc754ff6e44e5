"""Room: bench/peers. NumPy's products, which are OpenBLAS's in the published packages: what the processor itself can do."""
import os

import numpy

from serve import Repeated


def greeting():
    blas = numpy.show_config(mode="dicts")["Build Dependencies"]["blas"]
    note = f"products by {blas['name']} {blas['version']}, {os.cpu_count()} cores"
    return {"version": numpy.__version__, "note": note}


def to_numpy(value):
    return value


def prepare(name, inputs, settings):
    if name != "matmul":
        return None
    a, b = inputs["a"], inputs["b"]
    return Repeated(lambda: {"c": a @ (b.T if settings.get("transposeB") else b)})
