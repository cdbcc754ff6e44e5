"""Conversations as transformers renders and masks them, by chat templates of several families.

    python test/goldens/chat/render.py

Writes rendered.json beside this file (transformers 5.24.0, Jinja2 3.1.6). The templates in templates/ are data of others: see NOTICE.
The tokenizer is that of checkpoints/light-roberta, with special tokens that it lets stand for themselves.
"""

import json
from pathlib import Path

from transformers import PreTrainedTokenizerFast

HERE = Path(__file__).parent
CITY = {"type": "string", "description": "Città – the city's <name> & \"area\"", "enum": ["Paris", "Zürich"]}
WEATHER = {
    "name": "get_weather",
    "description": "The weather of a city",
    "parameters": {
        "type": "object",
        "properties": {"city": CITY, "days": {"type": "integer", "default": 3}, "exact": {"type": "boolean"}},
        "required": ["city"],
    },
}
TOOLS = [{"type": "function", "function": WEATHER}]


def turn(role, content, **more):
    return {"role": role, "content": content, **more}


def call(arguments):
    return {"type": "function", "id": "abcdefghi", "function": {"name": "get_weather", "arguments": arguments}}


def answer(content):
    return turn("tool", content, name="get_weather", tool_call_id="abcdefghi")


CONVERSATIONS = {
    "plain": [turn("user", "Hello!"), turn("assistant", "Hi there.")],
    "asked": [turn("user", "  What is 2 + 2? \n")],
    "system": [
        turn("system", "\tBe terse.\n"),
        turn("user", "a 你好 \"x\" <b>&?"),
        turn("assistant", " b 🎉 \n"),
        turn("user", "c"),
        turn("assistant", "d"),
    ],
    "tool": [
        turn("system", "Use tools."),
        turn("user", "Weather in Paris?"),
        turn("assistant", "", tool_calls=[call({"city": "Paris", "days": 2, "exact": True, "t": None, "f": 1e-05})]),
        answer('{"t": 21, "sky": "bleu"}'),
        turn("assistant", "It is 21°."),
    ],
    "tool without content": [
        turn("user", "Weather?"),
        turn("assistant", None, tool_calls=[call({"city": "Zürich", "more": ["it's", 1.5, {"x": False}]})]),
        answer("12"),
    ],
    "parts": [
        turn("system", [{"type": "text", "text": "Be kind."}]),
        turn("user", [{"type": "text", "text": "Hello "}, {"type": "text", "text": "you"}]),
        turn("assistant", [{"type": "text", "text": "Hi"}]),
    ],
    "thought": [
        turn("user", "q"),
        turn("assistant", "<think>\nbecause\n</think>\n\nanswer"),
        turn("user", "q2"),
        turn("assistant", "a2", reasoning_content="so"),
    ],
    "two questions": [turn("user", "a"), turn("user", "b"), turn("assistant", "c")],
    "white space": [turn("user", "\n\nx\t\n"), turn("assistant", "\x0b \u00a0y\u2003\u200b\ufeff\x1c")],
}
OPTIONS = [
    {},
    {"add_generation_prompt": True},
    {"tools": TOOLS},
    {"continue_final_message": True},
]
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}


def rendered(tokenizer, messages, options):
    try:
        text = tokenizer.apply_chat_template(messages, tokenize=False, **options)
    except Exception as error:  # a template's own refusal, or Python's
        return {"error": str(error)[:120]}
    if "generation %}" not in tokenizer.chat_template or "continue_final_message" in options:
        return {"text": text}
    both = tokenizer.apply_chat_template(
        messages, tokenize=True, return_dict=True, return_assistant_tokens_mask=True, **options
    )
    return {"text": text, "ids": both["input_ids"], "mask": both["assistant_masks"]}


def main():
    path = HERE.parents[2] / "checkpoints" / "light-roberta" / "tokenizer.json"
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(path), **SPECIAL)
    rows = []
    for file in sorted((HERE / "templates").glob("*.jinja")):
        tokenizer.chat_template = file.read_text(encoding="utf-8")
        for name, messages in CONVERSATIONS.items():
            for options in OPTIONS:
                result = rendered(tokenizer, messages, options)
                rows.append({"template": file.stem, "conversation": name, "options": options, **result})
    content = {"special": SPECIAL, "conversations": CONVERSATIONS, "tools": TOOLS, "rows": rows}
    for row in rows:
        if "tools" in row["options"]:
            row["options"] = {**row["options"], "tools": True}
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    head = json.dumps({key: value for key, value in content.items() if key != "rows"}, ensure_ascii=False)
    (HERE / "rendered.json").write_text(f'{head[:-1]}, "rows": [\n{lines}\n]}}\n', encoding="utf-8")


main()
