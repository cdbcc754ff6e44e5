"""Room: bench/peers. The process of the PyTorch peer, on the CPU: requests on stdin, replies on stdout, as wire.ts has them.

Hugging Face's transformers and PEFT are needed for the work `encoder_step` alone.
"""
import json
import os
import sys
import time

import numpy
import torch
import torch.nn.functional as F

MARK = "@bench "


def say(message):
    print(MARK + json.dumps(message), flush=True)


def load(tensor):
    dtype = {"f32": numpy.float32, "i32": numpy.int32}[tensor["dtype"]]
    return torch.from_numpy(numpy.fromfile(tensor["file"], dtype).reshape(tensor["shape"]))


def attention(q, k, v, scale):
    q, k, v = (t.transpose(1, 2) for t in (q, k, v))
    if hasattr(F, "scaled_dot_product_attention"):
        return F.scaled_dot_product_attention(q, k, v, scale=scale).transpose(1, 2)
    return (torch.softmax(q @ k.transpose(2, 3) * scale, -1) @ v).transpose(1, 2)


def cross_entropy(logits, labels):
    x = logits.clone().requires_grad_()
    loss = F.cross_entropy(x, labels.long())
    loss.backward()
    return {"loss": loss.detach(), "dlogits": x.grad}


WORKS = {
    "matmul": lambda i, s: {"c": i["a"] @ (i["b"].T if s.get("transposeB") else i["b"])},
    "gelu": lambda i, s: {"y": F.gelu(i["x"], approximate="tanh")},
    "layer_norm": lambda i, s: {"y": F.layer_norm(i["x"], i["x"].shape[-1:], i["gamma"], i["beta"], s["eps"])},
    "softmax_cross_entropy": lambda i, s: cross_entropy(i["logits"], i["labels"]),
    "attention": lambda i, s: {"o": attention(i["q"], i["k"], i["v"], s["scale"])},
}


class Repeated:
    """A work without state."""

    def __init__(self, compute):
        self.compute = compute
        self.last = {}

    def run(self):
        self.last = self.compute()

    def outputs(self):
        return self.last


class Steps:
    """A training step; the outputs are the losses before the first updates."""

    def __init__(self, loss_of, parameters, settings):
        self.loss_of = loss_of
        self.checked = int(settings["checked"])
        self.optimizer = torch.optim.Adam(parameters, lr=settings["lr"])
        self.losses = []

    def run(self):
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss_of()
        loss.backward()
        self.optimizer.step()
        if len(self.losses) < self.checked:
            self.losses.append(float(loss.detach()))

    def outputs(self):
        while len(self.losses) < self.checked:
            self.run()
        return {"losses": torch.tensor(self.losses)}


def mlp_step(i, settings):
    factors = {name: i[name].clone().requires_grad_() for name in ("a1", "u1", "a2", "u2")}

    def linear(h, w, b, down, up):
        return F.linear(h, w, b) + settings["scaling"] * F.linear(F.linear(h, down), up)

    def loss_of():
        hidden = F.gelu(linear(i["x"], i["w1"], i["b1"], factors["a1"], factors["u1"]), approximate="tanh")
        y = linear(hidden, i["w2"], i["b2"], factors["a2"], factors["u2"])
        return ((y - i["target"]) ** 2).mean()

    return Steps(loss_of, list(factors.values()), settings)


def encoder_step(i, settings):
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification

    base = AutoModelForSequenceClassification.from_pretrained(settings["model"], local_files_only=True)
    model = PeftModel.from_pretrained(base, settings["adapter"], is_trainable=True)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    model.train()
    batch = {
        "input_ids": i["input_ids"].long(),
        "attention_mask": i["attention_mask"].long(),
        "labels": i["labels"].long(),
    }
    parameters = [p for p in model.parameters() if p.requires_grad]
    return Steps(lambda: model(**batch).loss, parameters, settings)


def prepare(work):
    name, settings = work["name"], work["settings"]
    inputs = {key: load(tensor) for key, tensor in work["inputs"].items()}
    if name == "mlp_step":
        return mlp_step(inputs, settings)
    if name == "encoder_step":
        return encoder_step(inputs, settings)
    compute = WORKS.get(name)
    return compute and Repeated(lambda: compute(inputs, settings))


def main():
    threads = torch.get_num_threads()
    note = f"{threads} threads"
    for name in ("transformers", "peft"):
        try:
            note += f", {name} {__import__(name).__version__}"
        except ImportError:
            note += f", no {name}"
    say({"version": torch.__version__, "adapter": "CPU", "note": note})
    prepared = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["op"] == "prepare":
                prepared = prepare(request["work"])
                if prepared is None:
                    say({"unsupported": "it cannot express " + request["work"]["name"]})
                    continue
                prepared.run()
                files = {}
                for name, value in prepared.outputs().items():
                    files[name] = os.path.join(request["folder"], name + ".f32")
                    value.detach().contiguous().float().numpy().tofile(files[name])
                say({"outputs": files})
            else:
                started = time.perf_counter()
                for _ in range(request["runs"]):
                    prepared.run()
                say({"seconds": time.perf_counter() - started})
        except ImportError as error:
            say({"unsupported": f"no module {error.name}"})
        except Exception as error:  # reported to the benchmark, which names it
            say({"error": f"{type(error).__name__}: {error}"})


main()
