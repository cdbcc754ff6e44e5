"""Rows of our own making for make.py, by the harness's task names: examples to draw from, and rows to judge."""

WORDS = ["river", "lamp", "engine", "garden", "violin", "letter", "harbour", "orchard", "mirror", "kettle"]


def pairs(a, b, classes, docs, n=30):
    """Training rows of two texts, and the rows given."""
    train = [
        {a: f"The {WORDS[i % 10]} stood by the {WORDS[(i * 3 + 1) % 10]}.", b: f"A {WORDS[i % 10]} was there, number {i}.",
         "label": i % classes, "idx": i}
        for i in range(n)
    ]
    return train, [{a: x, b: y, "label": z, "idx": i} for i, (x, y, z) in enumerate(docs)]


def copa(i):
    return {"premise": f"The {WORDS[i % 10]} broke. ", "choice1": f"I dropped it {i} times.", "choice2": "It was old.",
            "question": ["cause", "effect"][i % 2], "idx": i, "label": i % 2}


def multirc(i):
    return {"paragraph": f"Ann sold the {WORDS[i % 10]} in May. She left.", "question": "What did Ann sell?",
            "answer": f"The {WORDS[(i * 2) % 10]}", "idx": {"paragraph": i, "question": i, "answer": i}, "label": i % 2}


def record(i):
    word = WORDS[i % 10].capitalize()
    return {"passage": f"{word} met Bo in Ulm.\n@highlight\n{word} is well\n@highlight\nBo is not",
            "query": f"In Ulm, @placeholder said number {i}", "entities": ["Ulm", word, "Bo", word],
            "answers": [word, "Bo", word] if i % 2 else ["Bo"], "idx": {"passage": i, "query": i}}


def wic(i):
    word = WORDS[i % 10]
    return {"word": word, "sentence1": f"A {word} is near.", "sentence2": f"My own {word} {i}.", "start1": 2, "start2": 7,
            "end1": 2 + len(word), "end2": 7 + len(word), "idx": i, "label": i % 2}


def wsc(i):
    word = WORDS[i % 10]
    return {"text": f"The {word} fell on Tom, and it did n't hurt him ( much ).", "span1_index": 1, "span2_index": 6,
            "span1_text": f"The {word}", "span2_text": "it", "idx": i, "label": i % 2}


def boolq(i):
    return {"question": f"is the {WORDS[i % 10]} number {i}", "passage": f"The {WORDS[i % 10]} is number {i + i % 2}.",
            "idx": i, "label": 1 - i % 2}


def piqa(i):
    return {"goal": f"To move the {WORDS[i % 10]},", "sol1": f"push it {i} times.", "sol2": "paint it.", "label": i % 2}


def siqa(i):
    return {"context": f"Kai lost the {WORDS[i % 10]}.", "question": "How would Kai feel?", "answerA": "sad",
            "answerB": f"glad {i}", "answerC": "hungry", "label": str(1 + i % 3)}


def hellaswag(i):
    return {"ind": i, "activity_label": "Fixing a lamp", "ctx_a": f"A man holds the {WORDS[i % 10]}.", "ctx_b": "the Man",
            "ctx": "", "endings": [f"drops it {i}.", "eats it.", "sings [step] loudly.", "sleeps  now."], "source_id": "x",
            "split": "train", "split_type": "indomain", "label": str(i % 4)}


def winogrande(i):
    return {"sentence": f"Ann gave Bea the {WORDS[i % 10]} because _ was done with it.", "option1": "Ann", "option2": "Bea",
            "answer": str(1 + i % 2)}


def arc(i, labels=("A", "B", "C", "D")):
    return {"id": f"q{i}", "question": f"Which is a {WORDS[i % 10]}?",
            "choices": {"text": [WORDS[(i + k) % 10] for k in range(len(labels))], "label": list(labels)},
            "answerKey": labels[i % len(labels)]}


def openbookqa(i):
    return {"id": f"o{i}", "question_stem": f"The {WORDS[i % 10]} is made of",
            "choices": {"text": ["wood", f"stone {i}", "air", "water"], "label": ["A", "B", "C", "D"]}, "answerKey": "ABCD"[i % 4]}


def squad(i):
    return {"id": f"s{i}", "title": "Things", "context": f"The {WORDS[i % 10]} is in room {i}.", "question": "Where is it?",
            "answers": {"text": [f"room {i}"] if i % 3 else [], "answer_start": [10] if i % 3 else []}}


def rows(make, docs, n=30):
    return [make(i) for i in range(n)], docs


ENTAILED = [("No weapons were found.", "Weapons were found.", 1), ("“Tea” is cheap; coffee isn’t", "Tea is cheap", 0),
            ("  Spaces stay. ", " Here too ", 1)]

ROWS = {
    "rte": pairs("sentence1", "sentence2", 2, ENTAILED),
    "wnli": pairs("sentence1", "sentence2", 2, ENTAILED),
    "mrpc": pairs("sentence1", "sentence2", 2, ENTAILED),
    "qnli": pairs("question", "sentence", 2, [("Who ran?", "Ann ran home.", 0), ("When?", "It rained.", 1)]),
    "qqp": pairs("question1", "question2", 2, [("Who ran?", "Who was it that ran?", 1), ("When?", "Where?", 0)]),
    "mnli": pairs("premise", "hypothesis", 3, [("It rained.", "It was wet", 0), ("It rained.", " It was dry. ", 2), ("A", "B?", 1)]),
    "mnli_mismatch": pairs("premise", "hypothesis", 3, [("It rained.", "It was wet.", 0)]),
    "sst2": rows(lambda i: {"sentence": f"a {WORDS[i % 10]} of a film {i} ", "label": i % 2, "idx": i},
                 [{"sentence": "dull and long ", "label": 0, "idx": 0}, {"sentence": "it 's \"fun\"", "label": 1, "idx": 1}]),
    "cola": rows(lambda i: {"sentence": f"The {WORDS[i % 10]} runs {i}.", "label": i % 2, "idx": i},
                 [{"sentence": "Runs the he.", "label": 0, "idx": 0}, {"sentence": "He runs.", "label": 1, "idx": 1}]),
    "boolq": rows(boolq, [boolq(3), {"question": "can you", "passage": "You cannot.\nEver.", "idx": 1, "label": 0}]),
    "cb": pairs("premise", "hypothesis", 3, [("B: Uh. A: I do n't know that he left.", "he left", 2), ("He left.", "he left", 0)]),
    "copa": rows(copa, [
        {"premise": "My body cast a shadow over the grass.", "choice1": "The sun was rising.", "choice2": "The grass was cut.",
         "question": "cause", "idx": 0, "label": 0},
        {"premise": "  The woman ran out of tea ", "choice1": "ÉCLAIRS were left.", "choice2": "I went home.", "question": "effect",
         "idx": 1, "label": 1}]),
    "multirc": rows(multirc, [multirc(1), {"paragraph": "It's \"so\".", "question": "Is it?", "answer": "It's 'so'.",
                                           "idx": {"paragraph": 0, "question": 0, "answer": 0}, "label": 1}]),
    "record": rows(record, [record(1), record(2), {
        "passage": " Zoë met 𝒜nn.\n@highlight\nOne", "query": "@placeholder and @placeholder left", "entities": ["Zoë", "𝒜nn", "Ann", "ｚ"],
        "answers": ["ｚ", "𝒜nn"], "idx": {"passage": 0, "query": 0}}]),
    "sglue_rte": pairs("premise", "hypothesis", 2, ENTAILED),
    "wic": rows(wic, [wic(1), {"word": "bank", "sentence1": "🙂 A bank 🙂", "sentence2": "The bank.", "start1": 4, "end1": 8, "start2": 4,
                               "end2": 8, "idx": 1, "label": 1}]),
    "wsc": rows(wsc, [wsc(1), {"text": "Ann said  \"she's 'ill' \" , so Bob asked Ann , whether she ate .", "span1_index": 0,
                               "span1_text": "Ann", "span2_index": 10, "span2_text": "she", "idx": 1, "label": 1}]),
    "piqa": rows(piqa, [piqa(1), {"goal": "How do I open it?", "sol1": "It's \"simple\"\\n", "sol2": "Pull.", "label": 1}]),
    "social_iqa": rows(siqa, [siqa(1), siqa(5)]),
    "hellaswag": rows(hellaswag, [hellaswag(1), {
        "ind": 9, "activity_label": "Home and Garden", "ctx_a": "[header] How to dig [title] Find a place. [step] Look   around.  ",
        "ctx_b": "iT'S A Dog [sic", "ctx": "", "endings": ["[step] Dig. [title] Rest", " Go home.", "Stop] it [a] [b]", "x"],
        "source_id": "y", "split": "val", "split_type": "zeroshot", "label": "3"}]),
    "winogrande": rows(winogrande, [winogrande(1), {"sentence": "_ won , as Bob _ lost . ", "option1": "Al", "option2": "Bob", "answer": "1"}]),
    "arc_easy": rows(arc, [arc(1), arc(2, ("1", "2", "3"))]),
    "arc_challenge": rows(arc, [arc(3), arc(1, ("A", "B", "C", "D", "E"))]),
    "openbookqa": rows(openbookqa, [openbookqa(1), openbookqa(3)]),
    "squadv2": rows(squad, [squad(1), squad(3)]),
}
