"""Room: bench/peers. The LoRA step's encoder in plain PyTorch, for where transformers and PEFT are missing: a RoBERTa classifier from its
two folders, without their wrappers around each layer.
"""
import json
import math
import os
import struct

import numpy
import torch
import torch.nn.functional as F

PEFT_PREFIX = "base_model.model."


def attention(q, k, v, scale, mask=None):
    """q, k, v are [batch, tokens, heads, width]; `mask` is added to the scores."""
    q, k, v = (t.transpose(1, 2) for t in (q, k, v))
    if hasattr(F, "scaled_dot_product_attention"):
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale).transpose(1, 2)
    scores = q @ k.transpose(2, 3) * scale
    return (torch.softmax(scores if mask is None else scores + mask, -1) @ v).transpose(1, 2)


def load_safetensors(path):
    """f32 tensors by name."""
    with open(path, "rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
        data = file.read()
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        tensors[name] = torch.from_numpy(numpy.frombuffer(data[begin:end], numpy.float32).reshape(entry["shape"]).copy())
    return tensors


def load_json(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


class LoraEncoder:
    def __init__(self, model, adapter):
        self.config = load_json(os.path.join(model, "config.json"))
        lora = load_json(os.path.join(adapter, "adapter_config.json"))
        self.scaling = lora["lora_alpha"] / lora["r"]
        weights = load_safetensors(os.path.join(model, "model.safetensors"))
        self.weights = {name.removeprefix("roberta."): value for name, value in weights.items()}
        trained = load_safetensors(os.path.join(adapter, "adapter_model.safetensors"))
        self.trained = {
            name.removeprefix(PEFT_PREFIX).removeprefix("roberta."): value.requires_grad_()
            for name, value in trained.items()
        }

    def parameters(self):
        return list(self.trained.values())

    def linear(self, x, name):
        y = F.linear(x, self.weights[name + ".weight"], self.weights[name + ".bias"])
        down, up = (self.trained[f"{name}.lora_{factor}.weight"] for factor in "AB")
        return y + self.scaling * F.linear(F.linear(x, down), up)

    def head(self, x, name):
        return F.linear(x, self.trained[f"classifier.{name}.weight"], self.trained[f"classifier.{name}.bias"])

    def norm(self, x, name):
        gamma, beta = self.weights[name + ".weight"], self.weights[name + ".bias"]
        return F.layer_norm(x, gamma.shape, gamma, beta, self.config["layer_norm_eps"])

    def embed(self, ids, mask):
        pad = self.config["pad_token_id"]
        positions = torch.cumsum(mask, 1) * mask + pad
        table = {kind: self.weights[f"embeddings.{kind}_embeddings.weight"] for kind in ("word", "position", "token_type")}
        x = table["word"][ids] + table["position"][positions] + table["token_type"][0]
        return self.norm(x, "embeddings.LayerNorm")

    def layer(self, x, name, blocked):
        heads = self.config["num_attention_heads"]
        q, k, v = (
            self.linear(x, f"{name}.attention.self.{part}").unflatten(-1, (heads, -1)) for part in ("query", "key", "value")
        )
        mixed = attention(q, k, v, 1 / math.sqrt(q.shape[-1]), blocked).flatten(2)
        x = self.norm(x + self.linear(mixed, f"{name}.attention.output.dense"), f"{name}.attention.output.LayerNorm")
        inner = F.gelu(self.linear(x, f"{name}.intermediate.dense"))
        return self.norm(x + self.linear(inner, f"{name}.output.dense"), f"{name}.output.LayerNorm")

    def loss(self, ids, mask, labels):
        blocked = (1 - mask[:, None, None, :].float()) * torch.finfo(torch.float32).min
        x = self.embed(ids, mask)
        for i in range(self.config["num_hidden_layers"]):
            x = self.layer(x, f"encoder.layer.{i}", blocked)
        return F.cross_entropy(self.head(torch.tanh(self.head(x[:, 0], "dense")), "out_proj"), labels)
