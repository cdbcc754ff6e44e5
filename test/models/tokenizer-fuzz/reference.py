"""Tests only: what the library's own Python bindings make of texts. Usage: reference.py FOLDER, of folders with `tokenizer.json` and `texts.json`."""
import json
import sys
from pathlib import Path

from tokenizers import Tokenizer

QUESTION = "a film"


def utf16_places(text):
    """The UTF-16 unit at which each character begins, and the end."""
    places = [0]
    for character in text:
        places.append(places[-1] + (2 if ord(character) > 0xFFFF else 1))
    return places


def lists(encoding):
    return [encoding.ids, encoding.type_ids]


def windows(first, places):
    """
    The second text's tokens lie in all windows where they lie in the first, which alone always says so, and have the segment that they
    have there: the library forgets a template's segments in later windows.
    """
    own = [i for i, owner in enumerate(first.sequence_ids) if owner == 1]
    begin, others = (own[0] if own else 0), len(first.ids) - len(own)
    for encoding in [first, *first.overflowing]:
        count = len(encoding.ids) - others
        types = first.type_ids[:begin] + first.type_ids[begin : begin + 1] * count + first.type_ids[begin + len(own) :]
        offsets = encoding.offsets[begin : begin + count]
        yield [encoding.ids, types, begin, [places[place] for pair in offsets for place in pair]]


def outcome(tokenizer, i, text, pair):
    tokenizer.no_truncation()
    alone = tokenizer.encode(text)
    both = tokenizer.encode(text, pair)
    bare = tokenizer.encode(text, pair, add_special_tokens=False)
    tokenizer.enable_truncation(5 + i % 12)
    cut, both_cut = tokenizer.encode(text), tokenizer.encode(text, pair)
    tokenizer.enable_truncation(30, stride=i % 5, strategy="only_second")
    question = tokenizer.encode(QUESTION, text)
    return [
        *map(lists, [alone, both, cut, both_cut, bare]),
        list(windows(question, utf16_places(text))),
        tokenizer.decode(alone.ids),
        tokenizer.decode(alone.ids, skip_special_tokens=False),
    ]


def outcomes(tokenizer, texts):
    for i, text in enumerate(texts):
        try:
            result = outcome(tokenizer, i, text, texts[(i + 1) % len(texts)])
        except BaseException as error:  # A panic is no Exception.
            if isinstance(error, KeyboardInterrupt):
                raise
            result = "refused"
        yield json.dumps(result, ensure_ascii=False, separators=(",", ":"))


folder = Path(sys.argv[1])
for path in folder.glob("*/tokenizer.json"):
    texts = json.loads((path.parent / "texts.json").read_text(encoding="utf-8"))
    lines = outcomes(Tokenizer.from_file(str(path)), texts)
    (path.parent / "lines").write_text("\n".join(lines), encoding="utf-8", newline="\n")
