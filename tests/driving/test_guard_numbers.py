import math

import numpy as np
import pytest
import torch

from babysit import TargetError
from babysit.driving.guard import as_number

torch.set_num_threads(1)


def message(value):
    with pytest.raises(TargetError) as caught:
        as_number(value, "x")
    return str(caught.value)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (2, 2.0),
        (0.5, 0.5),
        (np.float32(0.5), 0.5),
        (np.array(0.5), 0.5),
        (np.array([0.5]), 0.5),
        (np.array([[0.5]]), 0.5),
        (np.array(3), 3.0),
        (torch.tensor(0.5), 0.5),
        (torch.tensor([0.5]), 0.5),
        (torch.tensor([[0.5]], dtype=torch.bfloat16), 0.5),
        (torch.tensor(0.5, requires_grad=True) * 2, 1.0),
        (math.inf, math.inf),
        (np.float64(-math.inf), -math.inf),
    ],
)
def test_numbers(value, number):
    assert as_number(value, "x") == number
    assert type(as_number(value, "x")) is float


@pytest.mark.parametrize("value", [math.nan, np.float16(math.nan), np.array([math.nan]), torch.tensor(math.nan)])
def test_nan_is_a_number(value):
    assert math.isnan(as_number(value, "x"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "x must be a number, not None (NoneType)"),
        ("0.5", "x must be a number, not '0.5' (str)"),
        (b"0.5", "x must be a number, not b'0.5' (bytes)"),
        ("low", "x must be a number, not 'low' (str)"),
        ([0.5], "x must be a number, not [0.5] (list)"),
        ((0.5, {}), "x must be a number, not (0.5, {}) (tuple)"),
        (1j, "x must be a number, not 1j (complex)"),
        (np.array(["a"]), "x must be a number, not 'a' (str)"),
        (np.zeros(2), "x has shape (2,); it must be one number"),
        (np.zeros((0,)), "x has shape (0,); it must be one number"),
        (torch.zeros(4, 1), "x has shape (4, 1); it must be one number"),
    ],
)
def test_no_numbers(value, text):
    assert message(value) == text


@pytest.mark.parametrize("value", [np.complex128(1j), np.array(1j), torch.tensor(1j)])
def test_a_complex_loss_is_no_number(value):
    assert message(value).startswith("x must be a number, not ")
