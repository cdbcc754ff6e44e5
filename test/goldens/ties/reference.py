"""Tests only: writes the folders beside it: models whose file and configuration disagree on what the word embedding and the head share,
and LoRA on matrices that two modules share, with the scores of transformers 5.24 and PEFT 0.21: `python3 reference.py`.

Each folder has `model`, `adapter`, `data.jsonl`, and `expected.json` with the logits of the model alone and with its adapter.
"""
import json
import os
import shutil
import warnings

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import (
    BertConfig, BertForMaskedLM, DistilBertConfig, DistilBertForMaskedLM, GPT2Config, GPT2LMHeadModel, LlamaConfig,
    LlamaForCausalLM, OPTConfig, OPTForCausalLM, RobertaConfig, RobertaForMaskedLM,
)

HERE = os.path.dirname(os.path.abspath(__file__))
warnings.simplefilter("ignore")
V, D = 17, 8
OFF = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
ENCODER = dict(vocab_size=V, hidden_size=D, num_hidden_layers=1, num_attention_heads=2, intermediate_size=12,
               max_position_embeddings=20, **OFF)
MADE = {
    "bert": (BertForMaskedLM, lambda tie: BertConfig(**ENCODER, tie_word_embeddings=tie), ["query", "value"]),
    "roberta": (RobertaForMaskedLM, lambda tie: RobertaConfig(**ENCODER, type_vocab_size=1, pad_token_id=1, tie_word_embeddings=tie),
                ["query", "value"]),
    "distilbert": (DistilBertForMaskedLM, lambda tie: DistilBertConfig(
        vocab_size=V, dim=D, n_layers=1, n_heads=2, hidden_dim=12, max_position_embeddings=20, dropout=0.0, attention_dropout=0.0,
        tie_word_embeddings=tie), ["q_lin", "v_lin"]),
    "gpt2": (GPT2LMHeadModel, lambda tie: GPT2Config(
        vocab_size=V, n_embd=D, n_layer=1, n_head=2, n_positions=20, attn_pdrop=0.0, embd_pdrop=0.0, resid_pdrop=0.0, bos_token_id=1,
        eos_token_id=2, tie_word_embeddings=tie), ["c_attn"]),
    "llama": (LlamaForCausalLM, lambda tie: LlamaConfig(
        vocab_size=V, hidden_size=D, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1, intermediate_size=12,
        max_position_embeddings=20, tie_word_embeddings=tie), ["q_proj", "v_proj"]),
    "opt": (OPTForCausalLM, lambda tie: OPTConfig(
        vocab_size=V, hidden_size=D, num_hidden_layers=1, num_attention_heads=2, ffn_dim=12, max_position_embeddings=20,
        word_embed_proj_dim=D, dropout=0.0, attention_dropout=0.0, tie_word_embeddings=tie), ["q_proj", "v_proj"]),
}

# Name: family, whether the configuration ties, tensors taken out of the file, tensors put in, modules with LoRA.
CASES = {
    "bert-other-bias": ("bert", False, ["cls.predictions.decoder.bias"], [], None),
    "roberta-other-bias": ("roberta", False, ["lm_head.decoder.bias"], [], None),
    "distilbert-no-bias": ("distilbert", False, ["vocab_projector.bias"], [], None),
    "bert-tied-no-bias": ("bert", True, ["cls.predictions.bias"], [], None),
    "bert-tied-two-biases": ("bert", True, [], ["cls.predictions.decoder.bias"], None),
    "bert-two": ("bert", True, [], ["cls.predictions.decoder.weight"], None),
    "roberta-two": ("roberta", True, [], ["lm_head.decoder.weight"], None),
    "distilbert-two": ("distilbert", True, [], ["vocab_projector.weight"], None),
    "gpt2-two": ("gpt2", True, [], ["lm_head.weight"], None),
    "llama-two": ("llama", True, [], ["lm_head.weight"], None),
    "opt-two": ("opt", True, [], ["lm_head.weight"], None),
    "bert-head-only": ("bert", True, ["bert.embeddings.word_embeddings.weight"], ["cls.predictions.decoder.weight"], None),
    "llama-head-only": ("llama", True, ["model.embed_tokens.weight"], ["lm_head.weight"], None),
    "gpt2-lora-words": ("gpt2", True, [], [], ["wte", "c_attn"]),
    "llama-lora-head": ("llama", True, [], [], ["lm_head"]),
    "opt-lora-both": ("opt", True, [], [], ["embed_tokens", "lm_head", "v_proj"]),
    "bert-lora-decoder": ("bert", True, [], [], ["decoder"]),
    "llama-two-lora-both": ("llama", True, [], ["lm_head.weight"], ["embed_tokens", "lm_head"]),
}


def drawn(shape):
    return torch.randn(shape) * 0.4


def scores(model, rows):
    model.eval()
    with torch.no_grad():
        return [[[round(x, 6) for x in token] for token in model(input_ids=torch.tensor([row])).logits[0].tolist()] for row in rows]


def write(name, family, tie, gone, added, targets):
    folder = os.path.join(HERE, name)
    shutil.rmtree(folder, ignore_errors=True)
    kind, config, usual = MADE[family]
    model = kind(config(tie))
    with torch.no_grad():
        for key, value in model.named_parameters():
            value.copy_(drawn(value.shape) + (1 if "orm.weight" in key else 0))
    path = os.path.join(folder, "model")
    model.save_pretrained(path)
    file = os.path.join(path, "model.safetensors")
    shapes = {key: value.shape for key, value in model.state_dict().items()}
    tensors = {key: value for key, value in load_file(file).items() if key not in gone}
    tensors.update({key: drawn(shapes[key]) for key in added})
    save_file(tensors, file, {"format": "pt"})
    if os.path.exists(os.path.join(path, "generation_config.json")):
        os.remove(os.path.join(path, "generation_config.json"))
    model = kind.from_pretrained(path)
    rows = torch.randint(3, V, (2, 5)).tolist()
    base = scores(model, rows)
    task = None if "Masked" in kind.__name__ else "CAUSAL_LM"
    model = get_peft_model(model, LoraConfig(r=2, lora_alpha=3, target_modules=targets or usual, task_type=task))
    with torch.no_grad():
        for key, value in model.named_parameters():
            if "lora_" in key:
                value.copy_(drawn(value.shape))
    model.base_model.model.name_or_path = "model"
    model.peft_config["default"].base_model_name_or_path = None
    model.save_pretrained(os.path.join(folder, "adapter"))
    os.remove(os.path.join(folder, "adapter", "README.md"))
    with open(os.path.join(folder, "data.jsonl"), "w", encoding="utf-8") as out:
        out.writelines(json.dumps({"input_ids": row}) + "\n" for row in rows)
    with open(os.path.join(folder, "expected.json"), "w", encoding="utf-8") as out:
        json.dump({"base": base, "adapter": scores(model, rows)}, out)


if __name__ == "__main__":
    for at, (name, case) in enumerate(CASES.items()):
        torch.manual_seed(at + 200)
        write(name, *case)
