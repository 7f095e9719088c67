"""`babysit new`: a babysit.yaml with every key explained, and a target to fill in."""

import dataclasses
import json
import textwrap
from pathlib import Path
from typing import Any, get_type_hints

from babysit.check import Check
from babysit.checks import find_checks
from babysit.config.file import FILE_NAME, Checks
from babysit.config.values import wanted
from babysit.errors import UsageError

TARGET_NAME = "babysit_target.py"
WIDTH = 100  # columns of the comments

OPTIONS = f"""\
# What babysit checks here, and how. Every key is an option of the same name, and what is given on
# the command line wins. What is commented out stands at its default.

# What to check: path/to/file.py:factory or package.module:factory. Paths in this file are relative
# to its folder.
target: {TARGET_NAME}:trainer

# Seed of the random generators, set before the target is imported and before its factory runs.
#seed: 0

# What to print: text for people, json or junit for machines; and a file to write it to instead.
#format: text
#output: babysit.txt

# Further reports of the same run, a file for each format.
#report: {{json: babysit.json, junit: babysit.xml}}

# The checks or rules to look at; all of them where the list is empty. `babysit rules` lists them.
#select: []

# Rules to leave out, each with your reason.
#ignore: {{}}

# Rules that are broken and known to be, each with your reason; an error once the fault is gone.
#expected: {{}}

# The least severity that makes the exit code 1: error, warning or info.
#fail-on: error

# Whether to print the verdict alone.
#quiet: false

# What the checks may take: a time as 60s, 5m or 2h, or steps as 200steps; null for no bound.
#budget: null

# Whether to end at the first error.
#fail-fast: false
"""

TARGET = '''\
"""What babysit drives: `babysit run` in this folder calls `trainer()`.

It runs as it stands. Put your own network and data in the marked places.
"""

import numpy as np

from babysit.adapters.numpy import NumpyTrainer


class TwoLayerNet:
    """Replace with your own network: a dict `params`, and a `loss` as below."""

    def __init__(self, inputs, hidden, classes, reg):
        self.reg = reg
        self.params = {
            "W1": np.sqrt(2 / inputs) * np.random.randn(inputs, hidden),
            "b1": np.zeros(hidden),
            "W2": 0.01 * np.random.randn(hidden, classes),
            "b2": np.zeros(classes),
        }

    def loss(self, X, y=None):
        """Scores (N, C) without labels; with labels the loss and its gradients, by the names of `params`."""
        W1, b1, W2, b2 = (self.params[name] for name in ("W1", "b1", "W2", "b2"))
        hidden = np.maximum(0, X @ W1 + b1)
        scores = hidden @ W2 + b2
        if y is None:
            return scores
        shifted = scores - scores.max(axis=1, keepdims=True)
        log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        rows = np.arange(len(X))
        loss = -log_p[rows, y].mean() + self.reg * ((W1**2).sum() + (W2**2).sum())

        dscores = np.exp(log_p)
        dscores[rows, y] -= 1
        dscores /= len(X)
        dhidden = (dscores @ W2.T) * (hidden > 0)
        grads = {
            "W1": X.T @ dhidden + 2 * self.reg * W1,
            "b1": dhidden.sum(axis=0),
            "W2": hidden.T @ dscores + 2 * self.reg * W2,
            "b2": dscores.sum(axis=0),
        }
        return loss, grads


def data():
    """Replace with your own data, preprocessed as you train on it: here, three made-up clouds of points."""
    y = np.random.randint(3, size=1000)
    X = np.random.randn(3, 10)[y] + 0.7 * np.random.randn(1000, 10)
    X = (X - X[:800].mean(axis=0)) / X[:800].std(axis=0)
    return (X[:800], y[:800]), (X[800:], y[800:])


def trainer():
    """The factory: everything as your training program has it, and nothing trained yet."""
    train, val = data()
    return NumpyTrainer(
        TwoLayerNet(inputs=10, hidden=50, classes=3, reg=1e-3),
        train,
        val,
        task="classification",  # or "binary", "multilabel", "regression", "hinge"
        learning_rate=0.1,
        batch_size=50,
        optimizer="sgd",
    )
'''


def create(folder: Path) -> list[Path]:
    """Write babysit.yaml and a target to fill in.

    Args:
        folder: Made where it doesn't exist.

    Raises:
        UsageError: One of the files exists already, or can't be written.
    """
    texts = {folder / FILE_NAME: configuration(find_checks()), folder / TARGET_NAME: TARGET}
    for path in texts:
        if path.exists():
            raise UsageError(f"{path} exists already; babysit new overwrites nothing")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{error.filename} can't be written: {error.strerror}") from None
    return list(texts)


def configuration(checks: Checks) -> str:
    """The text of babysit.yaml, with a section for each check."""
    return "\n".join([OPTIONS, *(_section(check) for check in checks.values())])


def _section(check: Check) -> str:
    settings = [_setting(check, spec) for spec in dataclasses.fields(check.settings)]
    return f"{_comment(f'babysit {check.name}: {check.summary}')}\n{check.name}:\n{''.join(settings)}"


def _setting(check: Check, spec: "dataclasses.Field[Any]") -> str:
    kind = wanted(get_type_hints(check.settings)[spec.name], spec.metadata)
    doc = spec.metadata["doc"]
    explained = _comment(f"{doc[0].upper()}{doc[1:]}. {kind.capitalize()}.", "  # ")
    return f"{explained}\n  #{spec.name}: {_written(spec.default)}\n"


def _comment(text: str, start: str = "# ") -> str:
    return textwrap.fill(text, WIDTH, initial_indent=start, subsequent_indent=start)


def _written(value: Any) -> str:
    """The default as YAML; JSON is YAML, but for infinity, and `1e-06` a number for babysit."""
    return json.dumps(value).replace("Infinity", "inf")
