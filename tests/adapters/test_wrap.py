"""What a factory may return, and that no framework is imported to find out."""

import subprocess
import sys

import numpy as np
import pytest

from babysit.adapters import find_adapters, wrap
from babysit.errors import TargetError


class Bare:
    def __init__(self):
        self.params = {"W": np.zeros(3)}

    def loss(self, X, y=None):
        return 0.0, {}


class Half:
    task = learning_rate = regularization_scale = None

    def batches(self):
        return []

    def step(self, batch):
        return None

    evaluate = step


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (None, "the factory returned None; it must return a trainer (is a `return` missing?)"),
        (Half(), "the factory returned a Half, which is no trainer: it lacks `save`, `load`"),
        (
            {"W": 1},
            "the factory returned a dict, which is no trainer: it lacks `task`, `learning_rate`, "
            "`regularization_scale`, `batches`, `evaluate`, `step`, `save`, `load`",
        ),
        (
            Bare(),
            "the factory returned a Bare without data; write "
            "`return NumpyTrainer(model, train=(X, y), task=..., learning_rate=...)` "
            "with `from babysit.adapters.numpy import NumpyTrainer`",
        ),
    ],
)
def test_what_is_no_trainer_is_refused(made, message):
    with pytest.raises(TargetError) as caught:
        wrap(made)
    assert str(caught.value) == message


def test_no_framework_is_imported_to_find_out():
    program = (
        "import sys\n"
        "import babysit.adapters as adapters\n"
        "from babysit.errors import TargetError\n"
        "sys.modules.pop('numpy', None)\n"
        "names = [adapter.__name__ for adapter in adapters.find_adapters()]\n"
        "print(names, 'torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[] False\n"


def test_modules_that_serve_an_adapter_are_none():
    assert [a.FRAMEWORK for a in find_adapters() if a.__name__.startswith("babysit.adapters.numpy")] == ["numpy"]
