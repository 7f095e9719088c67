"""Every check leaves the trainer as it found it: at the end, after an exception and after Ctrl-C."""

import random

import faults
import numpy as np
import pytest
from faults import left, measured

from babysit.arrays import differing
from babysit.checks import find_checks
from babysit.errors import Skip, TargetError
from babysit.lab import demo

CHECKS = [name for name, check in find_checks().items() if check.usual]  # the others: test_check_parallel
MAKERS = [faults.batch_norm_and_dropout, faults.momentum, faults.zero_head, faults.global_noise]


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
@pytest.mark.parametrize("check", CHECKS)
def test_at_the_end(check, make):
    made = make(0)
    before = left(made)
    try:
        measured(check, made)
    except Skip:
        assert make is faults.global_noise
    assert differing(before, left(made)) == []


@pytest.mark.parametrize("error", [ValueError("the disk is full"), KeyboardInterrupt()], ids=["exception", "Ctrl-C"])
@pytest.mark.parametrize("fatal", [1, 2, 6, 60])
@pytest.mark.parametrize("check", CHECKS)
def test_after_a_step_that_fails(check, fatal, error):
    made = demo.trainer()
    healthy, calls = made.step, []

    def step(batch):
        calls.append(np.random.random() + random.random())
        output = healthy(batch)
        if len(calls) == fatal:
            raise error
        return output

    made.step = step
    before = left(made)
    try:
        measured(check, made)
    except (TargetError, KeyboardInterrupt):
        assert len(calls) == fatal
    else:
        assert len(calls) < fatal
    assert differing(before, left(made)) == []
