"""Room: bench/gpu. PyTorch on the same GPU: products by cuBLAS and a LoRA training step. Prints one line of JSON.

Usage: torch_gpu.py SIDE LAYERS HIDDEN HEADS NEURONS VOCAB BATCH SEQ
"""
import json
import statistics
import sys
import time


def seconds(run, runs=10):
    import torch

    for _ in range(3):
        run()
    times = []
    for _ in range(runs):
        torch.cuda.synchronize()
        start = time.perf_counter()
        run()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def product(side, dtype):
    import torch

    torch.backends.cuda.matmul.allow_tf32 = False
    a = torch.randn(side, side, device="cuda", dtype=dtype)
    b = torch.randn(side, side, device="cuda", dtype=dtype)
    return 2 * side**3 / seconds(lambda: a @ b.T)


def step(dtype, layers, hidden, heads, neurons, vocab, batch, seq):
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import RobertaConfig, RobertaForSequenceClassification

    config = RobertaConfig(
        vocab_size=vocab,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=neurons,
        max_position_embeddings=seq + 2,
        type_vocab_size=1,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    targets = ["query", "key", "value", "dense"]
    model = RobertaForSequenceClassification(config).to("cuda", dtype)
    lora = LoraConfig(task_type="SEQ_CLS", r=8, lora_alpha=16, lora_dropout=0.0, target_modules=targets)
    model = get_peft_model(model, lora).train()
    optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=1e-3)
    ids = torch.randint(2, vocab, (batch, seq), device="cuda")
    labels = torch.randint(0, 2, (batch,), device="cuda")
    torch.cuda.reset_peak_memory_stats()

    def run():
        optimizer.zero_grad(set_to_none=True)
        model(input_ids=ids, labels=labels).loss.backward()
        optimizer.step()

    return {"tokensPerSecond": batch * seq / seconds(run), "peakBytes": torch.cuda.max_memory_allocated()}


def attempt(result, name, run):
    try:
        result[name] = run()
    except Exception as error:  # a peer that fails is named, the others still run
        result[name + "Missing"] = f"{type(error).__name__}: {error}".splitlines()[0]


def main():
    side, *shape = (int(value) for value in sys.argv[1:])
    try:
        import torch
    except ImportError as error:
        print(json.dumps({"missing": str(error)}))
        return
    if not torch.cuda.is_available():
        print(json.dumps({"missing": f"torch {torch.__version__} sees no CUDA device"}))
        return
    result = {"version": f"torch {torch.__version__}, {torch.cuda.get_device_name()}"}
    attempt(result, "productF32", lambda: product(side, torch.float32))
    attempt(result, "productF16", lambda: product(side, torch.float16))
    attempt(result, "stepF32", lambda: step(torch.float32, *shape))
    torch.cuda.empty_cache()
    attempt(result, "stepBf16", lambda: step(torch.bfloat16, *shape))
    print(json.dumps(result))


main()
