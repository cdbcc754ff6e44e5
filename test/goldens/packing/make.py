"""Losses and gradients of transformers and PEFT on packed rows and on the same examples apart.

python test/goldens/packing/make.py > test/goldens/packing/losses.json
"""

import json
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

FAMILIES = Path(__file__).parent.parent / "families"
VOCABULARY = 120
LENGTHS = [5, 9, 16, 2, 12]
# Rows of at most 32 tokens, by best-fit decreasing.
ROWS = [[2, 4, 3], [1, 0]]


def example(line):
    ids = [3 + (i * 31 + line * 17) % (VOCABULARY - 3) for i in range(LENGTHS[line])]
    labels = [-100 if i > 1 and (i + line) % 3 == 0 else id for i, id in enumerate(ids)]
    return ids, labels


def run(model, rows):
    """Sum over labelled tokens of their losses in rows of examples, then the mean's gradients."""
    model.zero_grad()
    total, count = 0.0, 0
    for row in rows:
        parts = [example(line) for line in row]
        ids = torch.tensor([[id for part, _ in parts for id in part]])
        positions = torch.tensor([[i for part, _ in parts for i in range(len(part))]])
        labels = torch.tensor([[label for _, part in parts for label in [-100, *part[1:]]]])
        logits = model(input_ids=ids, position_ids=positions, use_cache=False).logits
        losses = torch.nn.functional.cross_entropy(logits[0, :-1], labels[0, 1:], reduction="sum")
        total = total + losses
        count += int((labels[0, 1:] >= 0).sum())
    loss = total / count
    loss.backward()
    squares = [p.grad.square().sum() for p in model.parameters() if p.grad is not None]
    return {"loss": loss.item(), "tokens": count, "grad_norm": torch.stack(squares).sum().sqrt().item()}


result = {}
for name in ["llama-lm", "opt-lm", "gpt2-lm"]:
    folder = FAMILIES / name
    base = AutoModelForCausalLM.from_pretrained(folder / "model", attn_implementation="eager", dtype=torch.float32)
    model = PeftModel.from_pretrained(base, folder / "adapters" / "lora", is_trainable=True).eval()
    result[name] = {"apart": run(model, [[i] for i in range(len(LENGTHS))])}
    # OPT does not tell the examples of a row apart by their positions.
    if name != "opt-lm":
        result[name]["packed"] = run(model, ROWS)
print(json.dumps(result, indent=2))
