"""A run that is killed from outside: `python interrupted.py checkpoint`."""

import sys
import time

import torch

from sdeint import expect
from tests.ensemble.problems import GBM, ONE, first

RUN = {
    "paths": 40_000,
    "chunk": 1000,
    "method": "EM",
    "steps": 4,
    "seed": 8,
    "quantiles": (0.5,),
    "histogram": [0.5, 1.0, 1.5],
}


def slowly(y):
    time.sleep(0.1)  # the run would take seconds: time enough to kill it
    return first(y)


def run(checkpoint, of=first, **options):
    return expect(GBM, ONE, [0.0, 1.0], of, checkpoint=checkpoint, **{**RUN, **options})


if __name__ == "__main__":
    torch.set_num_threads(1)
    run(sys.argv[1], slowly)
