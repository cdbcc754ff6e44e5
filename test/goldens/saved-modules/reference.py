"""Tests only: writes two of the folders beside it, with PEFT 0.21 and transformers 5.24: `python3 reference.py`. Models for questions, whose
layers transformers names by the family: `transformer.` for Qwen2, `model.` for Mistral. `expected.json` has the scores of `data.jsonl`.
"""
import json
import os
import shutil

import torch
from peft import IA3Config, LoraConfig, get_peft_model
from transformers import MistralConfig, MistralForQuestionAnswering, Qwen2Config, Qwen2ForQuestionAnswering

HERE = os.path.dirname(os.path.abspath(__file__))
SIZES = dict(vocab_size=19, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1, intermediate_size=7,
             max_position_embeddings=16, bos_token_id=1, eos_token_id=2, pad_token_id=0)
IA3 = dict(target_modules=["k_proj", "up_proj", "gate_proj"], feedforward_modules=["gate_proj"])
CASES = {
    "qwen2-qa-ia3": (Qwen2ForQuestionAnswering(Qwen2Config(**SIZES)), IA3Config(task_type="QUESTION_ANS", **IA3)),
    "mistral-qa": (MistralForQuestionAnswering(MistralConfig(**SIZES)),
                   LoraConfig(task_type="QUESTION_ANS", r=2, target_modules=["v_proj"], modules_to_save=["qa_outputs", "norm"])),
}
ROWS = [[10, 7, 13, 16, 12], [7, 11, 5, 4, 13]]


def draw(model, chosen, around=0.0):
    with torch.no_grad():
        for name, value in model.named_parameters():
            if chosen(name):
                value.copy_(torch.randn(value.shape) * 0.4 + (1 if "norm" in name else around))


def write(name, model, config):
    folder = os.path.join(HERE, name)
    shutil.rmtree(folder, ignore_errors=True)
    draw(model, lambda key: True)
    model.save_pretrained(os.path.join(folder, "model"))
    model = get_peft_model(model, config)
    draw(model, lambda key: "lora_" in key or "modules_to_save" in key)
    draw(model, lambda key: "ia3_" in key, 1.0)
    adapter = os.path.join(folder, "adapter")
    model.save_pretrained(adapter)
    os.remove(os.path.join(adapter, "README.md"))
    path = os.path.join(adapter, "adapter_config.json")
    with open(path, encoding="utf-8") as file:
        content = json.load(file)
    content["base_model_name_or_path"] = "model"
    with open(path, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
    model.eval()
    with torch.no_grad():
        found = model(input_ids=torch.tensor(ROWS))
    scores = torch.stack([found.start_logits, found.end_logits], -1)
    with open(os.path.join(folder, "data.jsonl"), "w", encoding="utf-8") as file:
        file.writelines(json.dumps({"input_ids": row}) + "\n" for row in ROWS)
    with open(os.path.join(folder, "expected.json"), "w", encoding="utf-8") as file:
        json.dump([[[round(x, 6) for x in place] for place in row] for row in scores.tolist()], file)


if __name__ == "__main__":
    torch.manual_seed(3)
    for name, case in CASES.items():
        write(name, *case)
