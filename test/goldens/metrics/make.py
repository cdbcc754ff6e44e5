"""Writes the figures in this folder: random seeded predictions, judged by scikit-learn, scipy, transformers and lm-eval.

    pip install scikit-learn==1.9.1 scipy==1.17.1 transformers==4.57.3 lm-eval==0.4.13
    python test/goldens/metrics/make.py

transformers has SQuAD 2.0's evaluation script (`squad_evaluate`) up to version 4. SQuAD 1.1's and MultiRC's F1m are written out
here from their definitions.
"""

import json
import math
import random
import warnings
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import sklearn
import scipy
import transformers
from lm_eval.api.metrics import acc_all
from lm_eval.tasks.super_glue.cb.aggregate import cb_multi_fi
from lm_eval.tasks.super_glue.record.util import process_results
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef
from transformers.data.metrics.squad_metrics import normalize_answer, squad_evaluate

warnings.filterwarnings("ignore")
HERE = Path(__file__).parent
VERSIONS = {
    "scikit-learn": sklearn.__version__,
    "scipy": scipy.__version__,
    "transformers": transformers.__version__,
    "lm-eval": version("lm_eval"),
}
RNG = random.Random(20)


def write(name, cases):
    content = {"versions": VERSIONS, "cases": cases}
    (HERE / name).write_text(json.dumps(content, ensure_ascii=True, indent=None, separators=(",", ":")) + "\n")


def draw(rows, classes, right=0.6, of=None):
    labels = [RNG.choice(of or range(classes)) for _ in range(rows)]
    return labels, [label if RNG.random() < right else RNG.randrange(classes) for label in labels]


def class_cases():
    """Labels and predictions by name."""
    for classes in (2, 3, 7):
        for rows in (1, 17, 200):
            yield f"{classes} classes, {rows} rows", classes, *draw(rows, classes)
    labels, predictions = draw(60, 3, of=[0, 2])
    yield "a class that is no label", 3, labels, predictions
    yield "a class that is neither", 3, *([2 * x for x in side] for side in draw(60, 2))
    yield "constant predictions of 1", 2, draw(40, 2)[0], [1] * 40
    yield "constant predictions of 0", 2, draw(40, 2)[0], [0] * 40
    yield "constant labels", 3, [2] * 40, draw(40, 3)[1]
    yield "all of class 0", 2, [0] * 9, [0] * 9
    yield "all of class 1", 2, [1] * 9, [1] * 9
    yield "all wrong", 2, [0, 1, 0, 1, 1], [1, 0, 1, 0, 0]
    yield "all right", 4, [0, 1, 2, 3, 1], [0, 1, 2, 3, 1]
    yield "worse than chance", 3, *draw(150, 3, right=0.0)


def classes():
    cases = []
    for name, count, labels, predictions in class_cases():
        expected = {
            "accuracy": accuracy_score(labels, predictions),
            "f1Macro": f1_score(labels, predictions, average="macro", zero_division=0),
            "matthews": matthews_corrcoef(labels, predictions),
        }
        if count == 2:
            expected["f1"] = f1_score(labels, predictions, zero_division=0)
        if count == 3 and len(set(labels + predictions)) == 3:
            # CommitmentBank's official figure takes all three classes.
            assert math.isclose(cb_multi_fi(list(zip(predictions, labels))), expected["f1Macro"])
        cases.append({"name": name, "classes": count, "labels": labels, "predictions": predictions, "expected": expected})
    write("classes.json", cases)


def number_cases():
    gauss = lambda n: [RNG.gauss(0, 1) for _ in range(n)]
    noisy = lambda xs, by: [x + RNG.gauss(0, by) for x in xs]
    for rows in (2, 3, 50, 400):
        labels = gauss(rows)
        yield f"{rows} rows", labels, noisy(labels, 0.7)
    labels = [RNG.randrange(26) / 5 for _ in range(300)]
    yield "scores from 0 to 5 with ties", labels, noisy(labels, 1)
    yield "ties on both sides", labels, [float(round(x)) for x in noisy(labels, 1)]
    yield "two values alone", [0.0, 0.0, 1.0, 1.0, 0.0], [3.0, 1.0, 3.0, 3.0, 1.0]
    yield "reversed", [1.0, 2.0, 3.0, 4.0], [-1.0, -2.0, -3.0, -4.0]
    yield "monotonic, not linear", [float(i) for i in range(20)], [math.exp(i) for i in range(20)]
    yield "far from 0", [1e6 + x for x in gauss(40)], [1e6 + x for x in gauss(40)]
    yield "constant predictions", gauss(12), [0.1] * 12
    yield "constant labels", [0.3] * 12, gauss(12)


def numbers():
    cases = []
    for name, labels, predictions in number_cases():
        found = [pearsonr(predictions, labels)[0], spearmanr(predictions, labels)[0]]
        # Not a number where a side does not vary: 0 here.
        pearson, spearman = (0.0 if math.isnan(r) else float(r) for r in found)
        mse = float(np.mean((np.array(labels) - np.array(predictions)) ** 2))
        expected = {"pearson": pearson, "spearman": spearman, "mse": mse}
        cases.append({"name": name, "labels": labels, "predictions": predictions, "expected": expected})
    write("numbers.json", cases)


WORDS = (
    "the a an The AN dog Dog's dogs big-bed bed, 1,000 3.5 $5 caf\u00e9 cafe\u0301 \u00c9COLE \u0130stanbul stra\u00dfe STRASSE "
    "\u039f\u0394\u039f\u03a3 \u6771\u4eac \u3001 \u300cthe\u300d the-a _the_ the_ a\u00b2 th\u00e9 \u0430 \u2014a\u2014 \u201cthe\u201d U.S.A. a.m. "
    "\u0627\u0644\u0639\u0631\u0628\u064a\u0629 \u0e01\u0e32 \ud55c\uad6d \u2168 \u00bda an\u0301 ... -- ! '"
).split()
SPACES = [" ", " ", " ", "  ", "\n", "\t", "\u00a0", "\u3000", "\u0085", "\u001c", "\u200b", "\ufeff", "\u2028"]


def text(least=0, most=5):
    words = [RNG.choice(WORDS) for _ in range(RNG.randint(least, most))]
    return "".join(word + RNG.choice(SPACES) for word in words)[: None if RNG.random() < 0.3 else -1]


def near(expected):
    """An answer that often shares words with one of those expected."""
    kind = RNG.random()
    if not expected or kind < 0.2:
        return RNG.choice(["", text()])
    words = RNG.choice(expected).split(" ")
    if kind < 0.5:
        return " ".join(words).upper() + RNG.choice(["", "!", " the"])
    return " ".join(words[RNG.randrange(len(words)) :] + [text(0, 2)])


def squad_1(answer, expected):
    """evaluate-v1.1.py: exact match, and F1 of bags of words that is 0 where nothing is common; the best over the expected."""

    def f1(gold):
        said, meant = normalize_answer(answer).split(), normalize_answer(gold).split()
        common = sum((Counter(said) & Counter(meant)).values())
        if common == 0:
            return 0.0
        precision, recall = common / len(said), common / len(meant)
        return 2 * precision * recall / (precision + recall)

    exact = max(float(normalize_answer(answer) == normalize_answer(gold)) for gold in expected)
    return exact, max(f1(gold) for gold in expected)


def squad_1_case(rows):
    data = []
    for _ in range(rows):
        expected = [text(1) for _ in range(RNG.randint(1, 4))]
        data.append({"answer": near(expected), "expected": expected})
    scores = [squad_1(**row) for row in data]
    exact, f1 = (float(np.mean(side)) for side in zip(*scores))
    metrics = {"count": rows, "exactMatch": exact, "f1": f1}
    return {"name": f"SQuAD 1.1, {rows} questions", "rows": data, "scores": scores, "expected": metrics}


NAMES = {
    "total": "count",
    "exact": "exactMatch",
    "f1": "f1",
    **{f"{part}_{key}": f"{part[0].lower()}{part[1:]}{name}"
       for part in ("HasAns", "NoAns")
       for key, name in (("total", "Total"), ("exact", "ExactMatch"), ("f1", "F1"))},
    "best_exact": "bestExactMatch",
    "best_exact_thresh": "bestExactMatchThreshold",
    "best_f1": "bestF1",
    "best_f1_thresh": "bestF1Threshold",
}


def squad_2_case(name, data, threshold=None):
    examples = [
        SimpleNamespace(qas_id=str(i), answers=[{"text": gold} for gold in row["expected"]]) for i, row in enumerate(data)
    ]
    answers = {str(i): row["answer"] for i, row in enumerate(data)}
    if threshold is None:
        found = squad_evaluate(examples, answers)
        # Without probabilities there is no best threshold.
        found = {key: value for key, value in found.items() if not key.startswith("best")}
    else:
        probabilities = {str(i): row["noAnswerScore"] for i, row in enumerate(data)}
        found = squad_evaluate(examples, answers, probabilities, threshold)
    unit = lambda key: 1 if key.endswith(("total", "thresh")) else 100
    expected = {NAMES[key]: value / unit(key) for key, value in found.items()}
    limit = {} if threshold is None else {"threshold": threshold}
    return {"name": f"SQuAD 2.0, {name}", "rows": data, **limit, "expected": expected}


def squad_2_rows(rows, score, answerable=0.6):
    data = []
    for _ in range(rows):
        expected = [text(1) for _ in range(RNG.randint(1, 3))] if RNG.random() < answerable else []
        row = {"answer": near(expected), "expected": expected}
        if score:
            row["noAnswerScore"] = score(bool(expected))
        data.append(row)
    return data


def squad():
    probability = lambda has: RNG.betavariate(2, 4) if has else RNG.betavariate(4, 2)
    tied = lambda has: round(probability(has), 1)
    difference = lambda has: RNG.gauss(-2 if has else 2, 3)
    both = squad_2_rows(120, probability)
    gaps = squad_2_rows(120, difference)
    write(
        "squad.json",
        [
            squad_1_case(1),
            squad_1_case(150),
            squad_2_case("no probabilities", squad_2_rows(100, None)),
            squad_2_case("probabilities, no threshold", both, 1.0),
            squad_2_case("threshold 0.4", both, 0.4),
            squad_2_case("tied probabilities", squad_2_rows(90, tied), 0.5),
            squad_2_case("differences of scores, threshold 0", gaps, 0.0),
            squad_2_case("differences of scores, threshold -1.5", gaps, -1.5),
            squad_2_case("no question has an answer", squad_2_rows(30, probability, 0), 0.5),
        ],
    )


def question_metrics(labels, predictions, groups):
    """MultiRC's own script: precision and recall of each question, 1 where there is nothing to divide by; F1 of their means."""
    parts = []
    for group in dict.fromkeys(groups):
        rows = [i for i, other in enumerate(groups) if other == group]
        hits = sum(labels[i] * predictions[i] for i in rows)
        said, meant = sum(predictions[i] for i in rows), sum(labels[i] for i in rows)
        parts.append((hits / said if said else 1.0, hits / meant if meant else 1.0))
    precision, recall = np.mean([p for p, _ in parts]), np.mean([r for _, r in parts])
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def multirc_case(name, labels, predictions, groups):
    docs = [
        {"idx": dict(zip(("paragraph", "question"), map(int, group.split("-")))), "label": label}
        for group, label in zip(groups, labels)
    ]
    expected = {
        "f1a": f1_score(labels, predictions, zero_division=0),
        "f1m": question_metrics(labels, predictions, groups),
        "exactMatch": float(acc_all(list(zip([p == 1 for p in predictions], docs)))),
    }
    return {"name": f"MultiRC, {name}", "labels": labels, "predictions": predictions, "groups": groups, "expected": expected}


def multirc():
    # A question's number comes again in other paragraphs; rows of a question are not always together.
    groups = [f"{p}-{q}" for p in range(6) for q in range(5) for _ in range(RNG.randint(1, 6))]
    RNG.shuffle(groups)
    rows = len(groups)
    labels, predictions = draw(rows, 2, right=0.8)
    yield multirc_case("random", labels, predictions, groups)
    yield multirc_case("nothing predicted", labels, [0] * rows, groups)
    yield multirc_case("all predicted", labels, [1] * rows, groups)
    yield multirc_case("nothing true", [0] * rows, predictions, groups)
    yield multirc_case("one row", [1], [1], ["0-0"])


def record():
    groups, scores, entities, answers = [], [], [], {}
    for query in range(40):
        own = [text(1, 3) for _ in range(RNG.randint(1, 7))]
        answers[str(query)] = [RNG.choice(own) for _ in range(RNG.randint(1, 3))] if RNG.random() < 0.8 else [text(1, 3)]
        for entity in own:
            groups.append(str(query))
            entities.append(entity)
            # Ties: the first is taken.
            scores.append(round(RNG.gauss(0, 1), 1))
    found = []
    for query, expected in answers.items():
        rows = [i for i, group in enumerate(groups) if group == query]
        doc = {"entities": [entities[i] for i in rows], "answers": expected}
        chosen = doc["entities"][int(np.argmax([scores[i] for i in rows]))]
        # lm-eval counts an answer without words as right beside another; the official script gives it no F1.
        exact, f1 = squad_1(chosen, expected)
        harness = process_results(doc, [(scores[i], False) for i in rows])
        assert harness["em"] == exact and (harness["f1"] == f1 or not normalize_answer(chosen))
        found.append((exact, f1))
    exact, f1 = (float(np.mean(side)) for side in zip(*found))
    expected = {"exactMatch": exact, "f1": f1}
    rows = {"groups": groups, "scores": scores, "entities": entities, "answers": answers}
    yield {"name": "ReCoRD", **rows, "expected": expected}


classes()
numbers()
squad()
write("multirc.json", list(multirc()))
write("record.json", list(record()))
