"""Tests only: writes `cases.json` and `NAME.safetensors`: `python reference.py`.

What PyTorch makes of gradient accumulation, label smoothing, class weights and learning rates by group: losses of some steps of small
models with LoRA, and the parameters after them. The loss of a step is the sum over its batches divided by what the whole step's labels
count. Made with PyTorch 2.15, transformers 5.24 and PEFT.
"""
import json
import os
import re

import torch
import torch.nn.functional as F
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoModelForQuestionAnswering, AutoModelForSequenceClassification

HERE = os.path.dirname(os.path.abspath(__file__))
GOLDENS = os.path.join(HERE, "..")
ROBERTA = ("roberta/model", "roberta/adapter-init")
OPT = ("families/opt-lm/model", "families/opt-lm/adapters/lora")
QA = ("families/bert-qa/model", "families/bert-qa/adapters/lora")
COMMON = {"lr": 3e-3, "steps": 4, "schedule": "constant", "shuffle": False, "maxGradNorm": 0.5, "weightDecay": 0.1}


def tokens(i, length):
    return [3 + (31 * t + 17 * i) % 110 for t in range(length)]


def classified():
    labels = [0, 1, 2, 1, -100, 0, 2, 2, 0, 1, 0, -100, 2]
    return [{"ids": tokens(i, 3 + (5 * i) % 9), "label": label} for i, label in enumerate(labels)]


def written():
    """Rows of 2 to 16 tokens, so that batches have very different numbers of labels."""
    rows = [tokens(i, length) for i, length in enumerate([2, 16, 3, 2, 11, 2, 7, 16, 4, 2, 9])]
    return [{"ids": ids, "tokenLabels": [-100 if (t + i) % 5 == 4 else x for t, x in enumerate(ids)]} for i, ids in enumerate(rows)]


def asked():
    spans = [[1, 4], [0, -100], [2, 2], [-100, -100], [3, 5], [0, 0], [-100, 2]]
    return [{"ids": tokens(i, 7 + i), "span": span} for i, span in enumerate(spans)]


CASES = {
    "classification": (ROBERTA, classified(), {"batchSize": 2, "gradientAccumulationSteps": 4}),
    "weights": (ROBERTA, classified(), {"batchSize": 2, "gradientAccumulationSteps": 4, "classWeights": {"0": 0.02, "1": 0.1}, "labelSmoothing": 0.2}),
    "language": (OPT, written(), {"batchSize": 2, "gradientAccumulationSteps": 3}),
    "language-smoothed": (OPT, written(), {"batchSize": 2, "gradientAccumulationSteps": 3, "labelSmoothing": 0.1}),
    "questions": (QA, asked(), {"batchSize": 2, "gradientAccumulationSteps": 2}),
    "head-rate": (ROBERTA, classified(), {"batchSize": 4, "headLr": 2e-2}),
    "frozen-head": (ROBERTA, classified(), {"batchSize": 4, "freezeHead": True}),
    "layerwise": (ROBERTA, classified(), {"batchSize": 4, "layerwiseLrDecay": 0.3}),
    "lora-plus": (ROBERTA, classified(), {"batchSize": 4, "loraPlusLrRatio": 8}),
    "all-rates": (OPT, written(), {"batchSize": 4, "layerwiseLrDecay": 0.5, "loraPlusLrRatio": 4}),
}
CLASSES = {ROBERTA: AutoModelForSequenceClassification, OPT: AutoModelForCausalLM, QA: AutoModelForQuestionAnswering}
LAYERS = 2


def plain(name):
    return re.sub(r"^base_model\.model\.|\.modules_to_save|\.default", "", name)


def losses_of(model, rows, longest, options):
    """Sums over the rows, and what their labels count, of each mean that the loss is made of; `longest` of the step's rows."""
    padded = lambda values, filling: torch.tensor([v + [filling] * (longest - len(v)) for v in values])
    mask = padded([[1] * len(row["ids"]) for row in rows], 0)
    out = model(input_ids=padded([row["ids"] for row in rows], model.config.pad_token_id), attention_mask=mask)
    smoothing = options.get("labelSmoothing", 0.0)
    sums = lambda scores, labels, weight=None: (
        F.cross_entropy(scores, labels, weight=weight, label_smoothing=smoothing, ignore_index=-100, reduction="sum"),
        (labels >= 0).sum() if weight is None else weight[labels[labels >= 0]].sum(),
    )
    if "span" in rows[0]:
        spans = torch.tensor([row["span"] for row in rows])
        return [sums(out.start_logits, spans[:, 0]), sums(out.end_logits, spans[:, 1])]
    if "tokenLabels" in rows[0]:
        labels = padded([row["tokenLabels"] for row in rows], -100)[:, 1:]
        return [sums(out.logits[:, :-1].flatten(0, 1), labels.flatten())]
    weights = options.get("classWeights")
    weight = None if weights is None else torch.tensor([weights.get(str(c), 1.0) for c in range(3)])
    return [sums(out.logits, torch.tensor([row["label"] for row in rows]), weight)]


def rate(name, options):
    lr = options["lr"]
    if name.startswith("classifier."):
        return options.get("headLr", lr)
    layer = re.search(r"\.(?:layer|layers)\.(\d+)\.", name)
    depth = LAYERS - 1 - int(layer[1]) if layer else LAYERS
    ratio = options.get("loraPlusLrRatio", 1.0) if "lora_B" in name else 1.0
    return lr * options.get("layerwiseLrDecay", 1.0) ** depth * ratio


def run(name, paths, rows, options):
    model = PeftModel.from_pretrained(CLASSES[paths].from_pretrained(os.path.join(GOLDENS, paths[0])), os.path.join(GOLDENS, paths[1]), is_trainable=True).eval()
    trained = {plain(key): value for key, value in model.named_parameters() if value.requires_grad}
    if options.get("freezeHead"):
        trained = {key: value for key, value in trained.items() if not key.startswith("classifier.")}
    decays = lambda value: options["weightDecay"] if value.dim() == 2 else 0.0
    groups = [{"params": [v], "lr": rate(k, options), "weight_decay": decays(v)} for k, v in trained.items()]
    optimizer = torch.optim.AdamW(groups)
    size = options["batchSize"]
    steps = size * options.get("gradientAccumulationSteps", 1)
    chunks = [rows[i : i + steps] for i in range(0, len(rows), steps)]
    found = []
    for step in range(options["steps"]):
        chunk = chunks[step % len(chunks)]
        longest = max(len(row["ids"]) for row in chunk)
        batches = [chunk[i : i + size] for i in range(0, len(chunk), size)]
        with torch.no_grad():
            counts = [max(1e-12, sum(float(part[1]) for part in parts)) for parts in zip(*(losses_of(model, b, longest, options) for b in batches))]
        total = 0.0
        for batch in batches:
            parts = losses_of(model, batch, longest, options)
            loss = sum(part[0] / count for part, count in zip(parts, counts)) / len(parts)
            loss.backward()
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(list(trained.values()), options["maxGradNorm"])
        optimizer.step()
        optimizer.zero_grad()
        found.append(total)
    save_file({key: value.detach().contiguous() for key, value in trained.items()}, os.path.join(HERE, f"{name}.safetensors"))
    return found


def entropies():
    """Values and gradients of `torch.nn.CrossEntropyLoss`."""
    logits = torch.tensor([[2 * torch.sin(torch.tensor(1.7 * (5 * r + c) + 0.3)).item() for c in range(5)] for r in range(6)])
    labels = torch.tensor([4, -100, 0, 2, 2, -100])
    for weight in (None, [0.1, 1.0, 3.0, 0.5, 0.02]):
        for smoothing in (0.0, 0.1, 0.9):
            x = logits.clone().requires_grad_()
            loss = torch.nn.CrossEntropyLoss(None if weight is None else torch.tensor(weight), label_smoothing=smoothing)(x, labels)
            loss.backward()
            yield {"weight": weight, "labelSmoothing": smoothing, "loss": loss.item(), "gradient": x.grad.flatten().tolist()}


cases = []
for name, (paths, rows, own) in CASES.items():
    options = {**COMMON, **own}
    cases.append({"name": name, "model": paths[0], "adapter": paths[1], "examples": rows, "options": options, "losses": run(name, paths, rows, options)})
with open(os.path.join(HERE, "cases.json"), "w", encoding="utf-8") as out:
    json.dump({"torch": torch.__version__, "cases": cases, "crossEntropy": list(entropies())}, out)
    out.write("\n")
