"""Room: bench/peers. The process of a Python peer on the CPU: `serve.py MODULE`, requests on stdin, replies on stdout, as wire.ts has them.

A module beside this file gives `greeting()`, `prepare(name, inputs, settings)`, None where it cannot express the work, and `to_numpy`.
"""
import importlib
import json
import os
import sys
import time

import numpy

MARK = "@bench "


def say(message):
    print(MARK + json.dumps(message), flush=True)


def load(tensor):
    dtype = {"f32": numpy.float32, "i32": numpy.int32}[tensor["dtype"]]
    return numpy.fromfile(tensor["file"], dtype).reshape(tensor["shape"])


class Repeated:
    """A work without state."""

    def __init__(self, compute):
        self.compute = compute
        self.last = {}

    def run(self):
        self.last = self.compute()

    def outputs(self):
        return self.last


def save(outputs, folder, to_numpy):
    files = {}
    for name, value in outputs.items():
        files[name] = os.path.join(folder, name + ".f32")
        to_numpy(value).astype(numpy.float32).tofile(files[name])
    return files


def main():
    sys.dont_write_bytecode = True
    peer = importlib.import_module(sys.argv[1])
    say({"adapter": "CPU", **peer.greeting()})
    prepared = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["op"] == "prepare":
                work = request["work"]
                inputs = {key: load(tensor) for key, tensor in work["inputs"].items()}
                prepared = peer.prepare(work["name"], inputs, work["settings"])
                if prepared is None:
                    say({"unsupported": "it cannot express " + work["name"]})
                    continue
                prepared.run()
                say({"outputs": save(prepared.outputs(), request["folder"], peer.to_numpy)})
            else:
                started = time.perf_counter()
                for _ in range(request["runs"]):
                    prepared.run()
                say({"seconds": time.perf_counter() - started})
        except ImportError as error:
            say({"unsupported": f"no module {error.name}"})
        except Exception as error:  # reported to the benchmark, which names it
            say({"error": f"{type(error).__name__}: {error}"})


if __name__ == "__main__":
    main()
