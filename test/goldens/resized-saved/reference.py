"""Tests only: writes the folders beside it: adapters of models whose vocabulary was resized, as PEFT 0.21 saves them by itself
(`save_embedding_layers="auto"`), with transformers 5.24: `python3 reference.py`. `expected.json` has ids and the model's logits.
"""
import json
import os
import shutil
import warnings

import torch
from peft import LoraConfig, get_peft_model
from transformers import BertForSequenceClassification, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

HERE = os.path.dirname(os.path.abspath(__file__))
RESIZED = os.path.join(HERE, "..", "resized")
warnings.simplefilter("ignore")
CASES = {
    "gpt2-frozen": ("gpt2", ["c_attn"]),
    "gpt2-lora-words": ("gpt2", ["c_attn", "wte"]),
    "gpt2-lora-head": ("gpt2", ["lm_head"]),
    "gpt2-lora-both": ("gpt2", ["wte", "lm_head"]),
    "bert-frozen": ("bert", ["query"]),
    "llama-frozen": ("llama", ["q_proj"]),
    "llama-lora-words": ("llama", ["embed_tokens", "v_proj"]),
    "llama-lora-head": ("llama", ["lm_head"]),
    "llama-saved-head": ("llama", ["q_proj"], {"modules_to_save": ["lm_head"]}),
    "llama-shrunk": ("llama", ["q_proj"], {}, 17),
    "gpt2-dora-head": ("gpt2", ["lm_head"], {"use_dora": True}),
    "bert-shrunk-biases": ("bert", ["key"], {"bias": "all", "modules_to_save": ["word_embeddings"]}, 18),
}
CLASSES = {"gpt2": GPT2LMHeadModel, "bert": BertForSequenceClassification, "llama": LlamaForCausalLM}
SIZE = 22


def make_llama():
    folder = os.path.join(HERE, "llama")
    shutil.rmtree(folder, ignore_errors=True)
    model = LlamaForCausalLM(LlamaConfig(
        vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1, intermediate_size=12,
        max_position_embeddings=16, tie_word_embeddings=True))
    draw(model, lambda name: True)
    model.save_pretrained(folder)
    os.remove(os.path.join(folder, "generation_config.json"))


def draw(model, chosen):
    with torch.no_grad():
        for name, value in model.named_parameters():
            if chosen(name):
                value.copy_(torch.randn(value.shape) * 0.4 + (1 if "norm.weight" in name else 0))


def write(name, family, targets, options={}, size=SIZE):
    base = os.path.join(HERE if family == "llama" else RESIZED, family)
    kind = CLASSES[family]
    model = kind.from_pretrained(base)
    model.resize_token_embeddings(size)
    if size > 20:
        with torch.no_grad():
            model.get_input_embeddings().weight[20:] = torch.randn(2, 8) * 0.4
    task = "SEQ_CLS" if family == "bert" else "CAUSAL_LM"
    model = get_peft_model(model, LoraConfig(r=2, lora_alpha=3, target_modules=targets, task_type=task, **options))
    draw(model, lambda key: "lora_" in key or "modules_to_save" in key)
    folder = os.path.join(HERE, name)
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    os.remove(os.path.join(folder, "README.md"))
    path = os.path.join(folder, "adapter_config.json")
    with open(path, encoding="utf-8") as file:
        config = json.load(file)
    config["base_model_name_or_path"] = family
    with open(path, "w", encoding="utf-8") as file:
        json.dump(config, file, indent=2)
    model.eval()
    ids = [3, 20, 7, 21, 5] if size > 20 else [3, 16, 7, 2, 5]
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids])).logits[0]
    with open(os.path.join(folder, "expected.json"), "w", encoding="utf-8") as file:
        json.dump({"ids": ids, "logits": [[round(x, 6) for x in row] for row in logits.reshape(-1, logits.shape[-1]).tolist()]}, file)


if __name__ == "__main__":
    torch.manual_seed(5)
    make_llama()
    for at, (name, case) in enumerate(CASES.items()):
        torch.manual_seed(at)
        write(name, *case)
