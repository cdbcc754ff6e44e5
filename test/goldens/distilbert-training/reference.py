"""Tests only: writes `losses.json`, ten training steps of `families/distilbert-cls` by LoRA, DoRA and (IA)3 in plain PyTorch: `python3 reference.py`.

Made with PyTorch 1.13. The formulas are those of PEFT 0.21, the optimizer is torch.optim.AdamW with clipping and a linear schedule.
"""
import json
import math
import os
import struct

import numpy
import torch
import torch.nn.functional as F

HERE = os.path.dirname(os.path.abspath(__file__))
FOLDER = os.path.join(HERE, "..", "families", "distilbert-cls")
STEPS, BATCH, LR, DECAY, CLIP = 10, 4, 3e-3, 0.1, 1.0
HEAD = ("pre_classifier", "classifier")


def load_safetensors(path):
    with open(path, "rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
        data = file.read()
    header.pop("__metadata__", None)
    array = lambda entry: numpy.frombuffer(data[slice(*entry["data_offsets"])], numpy.float32).reshape(entry["shape"])
    return {name: torch.from_numpy(array(entry).copy()) for name, entry in header.items()}


class Model:
    def __init__(self, method):
        adapter = os.path.join(FOLDER, "adapters", method)
        with open(os.path.join(adapter, "adapter_config.json"), encoding="utf-8") as file:
            self.peft = json.load(file)
        self.frozen = load_safetensors(os.path.join(FOLDER, "model", "model.safetensors"))
        saved = load_safetensors(os.path.join(adapter, "adapter_model.safetensors"))
        self.trained = {name.replace("base_model.model.", ""): value for name, value in saved.items()}
        for name in (f"{module}.{kind}" for module in HEAD for kind in ("weight", "bias")):
            self.trained.setdefault(name, self.frozen[name])
        for value in self.trained.values():
            value.requires_grad_()

    def linear(self, x, name):
        w, b = self.frozen[name + ".weight"], self.frozen[name + ".bias"]
        y = F.linear(x, w, b)
        scale = self.trained.get(name + ".ia3_l")
        if scale is not None:
            inner = name.split(".")[-1] in self.peft["feedforward_modules"]
            return F.linear(x * scale.flatten(), w, b) if inner else y * scale.flatten()
        down, up = (self.trained.get(f"{name}.lora_{factor}.weight") for factor in "AB")
        if down is None:
            return y
        scaling = self.peft["lora_alpha"] / self.peft["r"]
        low = scaling * F.linear(F.linear(x, down), up)
        magnitude = self.trained.get(name + ".lora_magnitude_vector")
        if magnitude is None:
            return y + low
        share = magnitude / torch.linalg.norm(w + scaling * up @ down, dim=1).detach()
        return y + (share - 1) * F.linear(x, w) + share * low

    def norm(self, x, name):
        return F.layer_norm(x, x.shape[-1:], self.frozen[name + ".weight"], self.frozen[name + ".bias"], 1e-12)

    def layer(self, x, name, blocked):
        heads = lambda part: self.linear(x, f"{name}.attention.{part}").unflatten(-1, (4, -1)).transpose(1, 2)
        q, k, v = (heads(part) for part in ("q_lin", "k_lin", "v_lin"))
        scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[-1]) + blocked
        mixed = (torch.softmax(scores, -1) @ v).transpose(1, 2).flatten(2)
        x = self.norm(self.linear(mixed, f"{name}.attention.out_lin") + x, f"{name}.sa_layer_norm")
        inner = F.gelu(self.linear(x, f"{name}.ffn.lin1"))
        return self.norm(self.linear(inner, f"{name}.ffn.lin2") + x, f"{name}.output_layer_norm")

    def logits(self, ids, mask):
        table = lambda kind: self.frozen[f"distilbert.embeddings.{kind}_embeddings.weight"]
        x = table("word")[ids] + table("position")[torch.arange(ids.shape[1])]
        x = self.norm(x, "distilbert.embeddings.LayerNorm")
        for i in range(2):
            x = self.layer(x, f"distilbert.transformer.layer.{i}", (1 - mask[:, None, None].float()) * -1e30)
        dense = lambda y, name: F.linear(y, self.trained[name + ".weight"], self.trained[name + ".bias"])
        return dense(F.relu(dense(x[:, 0], HEAD[0])), HEAD[1])


def batches():
    with open(os.path.join(HERE, "data.jsonl"), encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    for start in range(0, STEPS * BATCH, BATCH):
        batch = rows[start : start + BATCH]
        longest = max(len(row["input_ids"]) for row in batch)
        padded = lambda key: torch.tensor([row[key] + [0] * (longest - len(row[key])) for row in batch])
        yield padded("input_ids"), padded("attention_mask"), torch.tensor([row["label"] for row in batch])


def losses(method):
    model = Model(method)
    decays = lambda name, value: value.dim() == 2 and "ia3" not in name
    groups = [[v for k, v in model.trained.items() if decays(k, v) == decaying] for decaying in (True, False)]
    optimizer = torch.optim.AdamW([{"params": groups[0], "weight_decay": DECAY}, {"params": groups[1], "weight_decay": 0.0}])
    found = []
    for step, (ids, mask, labels) in enumerate(batches()):
        loss = F.cross_entropy(model.logits(ids, mask), labels)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(list(model.trained.values()), CLIP)
        for group in optimizer.param_groups:
            group["lr"] = LR * (1 - step / STEPS)
        optimizer.step()
        found.append(loss.item())
    return found


with open(os.path.join(HERE, "losses.json"), "w", encoding="utf-8") as out:
    json.dump({method: losses(method) for method in ("lora", "dora", "ia3")}, out, indent=2)
    out.write("\n")
