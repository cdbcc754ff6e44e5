"""
What lm-evaluation-harness asks a model of each task: contexts, continuations and right choices, without and with examples.

    pip install lm-eval==0.4.13 datasets
    python test/goldens/choices/make.py

Rows are of our own making, in the columns of the Hugging Face hub. Writes requests.json: by the harness's task name `train` and `docs`, its
rows; `gold` and `trainGold`, the index of the right choice of each; `requests` by number of examples: of each row a list of [context, continuation].
"""

import json
import os
import sys
from types import ModuleType

# ReCoRD's figures need a module that transformers 5 does not have; they are not asked for here.
metrics = ModuleType("transformers.data.metrics")
metrics.squad_metrics = ModuleType("transformers.data.metrics.squad_metrics")
sys.modules[metrics.__name__] = metrics
sys.modules[metrics.squad_metrics.__name__] = metrics.squad_metrics

import datasets
import lm_eval
from lm_eval.tasks import TaskManager

from rows import ROWS

HERE = os.path.dirname(os.path.abspath(__file__))
SEED = 1234
SHOTS = [0, 2, 7]
FOLDERS = "super_glue glue piqa siqa hellaswag winogrande arc openbookqa squadv2".split()
TASKS = os.path.join(os.path.dirname(lm_eval.__file__), "tasks")
MANAGER = TaskManager(include_path=[os.path.join(TASKS, name) for name in FOLDERS], include_defaults=False)
SPLITS = {"mnli": "validation_matched", "mnli_mismatch": "validation_mismatched"}


def local(train, docs, split):
    dataset = datasets.DatasetDict({"train": datasets.Dataset.from_list(train), split: datasets.Dataset.from_list(docs)})
    if split == "validation":
        dataset["test"] = dataset["validation"]
    return dataset


def task_of(name, train, docs):
    datasets.load_dataset = lambda **_: local(train, docs, SPLITS.get(name, "validation"))
    return MANAGER.load([name])["tasks"][name]


def requests_of(task, shots):
    task.set_config(key="num_fewshot", value=shots)
    task.set_fewshot_seed(SEED)
    task.build_all_requests()
    by_doc = {}
    for instance in task.instances:
        by_doc.setdefault(instance.doc_id, []).append(list(instance.args))
    return list(by_doc.values())


def gold_of(task, doc):
    if task.OUTPUT_TYPE != "multiple_choice":
        return task.doc_to_target(doc)
    gold = task.doc_to_text(doc) if task.multiple_input else task.doc_to_target(doc)
    return task.doc_to_choice(doc).index(gold) if isinstance(gold, str) else gold


def fixture(name, train, docs):
    task = task_of(name, train, docs)
    return {
        "train": train,
        "trainGold": [gold_of(task, doc) for doc in task.training_docs()],
        "docs": docs,
        "gold": [gold_of(task, doc) for doc in task.eval_docs],
        # The harness cannot put examples before its squadv2.
        "requests": {str(shots): requests_of(task, shots) for shots in SHOTS if name != "squadv2" or shots == 0},
    }


def main():
    out = {name: fixture(name, train, docs) for name, (train, docs) in ROWS.items()}
    with open(os.path.join(HERE, "requests.json"), "w", encoding="utf-8") as file:
        json.dump(out, file, ensure_ascii=False, indent=1)
        file.write("\n")


main()
