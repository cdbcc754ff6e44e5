"""Room: bench/peers. NumPy's products, which are OpenBLAS's in the published packages: what the processor itself can do."""
import os

import numpy

from serve import Repeated


def blas():
    try:
        built = numpy.show_config(mode="dicts")["Build Dependencies"]["blas"]
        return f"{built['name']} {built['version']}"
    except TypeError:  # before NumPy 1.25
        return "the system's BLAS"


def greeting():
    return {"version": numpy.__version__, "note": f"products by {blas()}, {os.cpu_count()} cores"}


def to_numpy(value):
    return value


def prepare(name, inputs, settings):
    if name != "matmul":
        return None
    a, b = inputs["a"], inputs["b"]
    return Repeated(lambda: {"c": a @ (b.T if settings.get("transposeB") else b)})
