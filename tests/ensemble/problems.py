"""Equations and functionals at the top level of a module, where process pools find them."""

from __future__ import annotations

import math
import os
import time
from statistics import NormalDist

import torch

from sdeint import SDE

RATE, SIZE = 0.05, 0.2
_NORMAL = NormalDist().cdf
_D1 = (RATE + SIZE**2 / 2) / SIZE
DISCOUNT = math.exp(-RATE)
CALL = _NORMAL(_D1) - DISCOUNT * _NORMAL(_D1 - SIZE)
DIGITAL = DISCOUNT * _NORMAL(_D1 - SIZE)


def drift(t, y):
    return RATE * y


def diffusion(t, y):
    return SIZE * y


GBM = SDE(drift, diffusion)
ONE = torch.ones(1, dtype=torch.float64)


def first(y):
    return y[:, 0]


def square(y):
    return y[:, 0] ** 2


def call(y):
    return DISCOUNT * (y[:, 0] - 1).clamp_min(0)


def digital(y):
    return DISCOUNT * (y[:, 0] > 1).to(y.dtype)


def raises(y):
    if bool((y > 1.6).any()):
        raise ZeroDivisionError("too large")
    return y[:, 0]


SEEN: list[int] = []


def slowly_seen(y):
    """Notes how many paths it was called for, where the caller can see it: in this process."""
    SEEN.append(len(y))
    time.sleep(0.01)
    return first(y)


def kills_other_processes(y):
    """Ends the process, unless it is the one that set the variable."""
    if os.environ.get("SDEINT_TEST_PARENT") != str(os.getpid()):
        os._exit(9)
    return y[:, 0]
