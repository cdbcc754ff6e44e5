"""Room: bench/peers. PyTorch on the CPU. The work `transformer_step` is Hugging Face's transformers and PEFT where they are; else an
encoder is plain PyTorch, and a decoder is left out."""
import importlib
import os

import torch
import torch.nn.functional as F

from serve import Repeated
from torch_encoder import LoraEncoder, attention


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


def transformer_step(i, settings):
    batch = {"input_ids": i["input_ids"].long(), "attention_mask": i["attention_mask"].long()}
    labels = i["labels"].long()
    if None in library_versions().values():
        if settings["head"] != "classification":
            return None
        encoder = LoraEncoder(settings["model"], settings["adapter"])
        return Steps(lambda: encoder.loss(*batch.values(), labels), encoder.parameters(), settings)
    model = peft_model(settings)
    parameters = [p for p in model.parameters() if p.requires_grad]
    return Steps(lambda: model(**batch, labels=labels).loss, parameters, settings)


def peft_model(settings):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    kind = AutoModelForCausalLM if settings["head"] == "causal-lm" else AutoModelForSequenceClassification
    base = kind.from_pretrained(settings["model"], local_files_only=True)
    model = PeftModel.from_pretrained(base, settings["adapter"], is_trainable=True)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return model.train()


def prepare(name, arrays, settings):
    inputs = {key: torch.from_numpy(array) for key, array in arrays.items()}
    if name == "mlp_step":
        return mlp_step(inputs, settings)
    if name == "transformer_step":
        return transformer_step(inputs, settings)
    compute = WORKS.get(name)
    return compute and Repeated(lambda: compute(inputs, settings))


def to_numpy(value):
    return value.detach().contiguous().float().numpy()


def library_versions():
    """Of what the encoder step is made with; None for what is missing."""
    versions = {}
    for name in ("transformers", "peft"):
        try:
            versions[name] = importlib.import_module(name).__version__
        except ImportError:
            versions[name] = None
    return versions


def greeting():
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(os.cpu_count())
    note = f"{torch.get_num_threads()} threads"
    for name, version in library_versions().items():
        note += f", {name} {version}" if version else f", no {name}"
    if None in library_versions().values():
        note += ": the encoder in plain PyTorch"
    return {"version": torch.__version__, "note": note}
