"""Killed processes, damaged files, full disks, lost workers: nothing is lost that need not be."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError, Executor, Future, ProcessPoolExecutor
from pathlib import Path

import pytest
import torch
from distributed import Client, KilledWorker

from sdeint import SDE, expect, multilevel
from sdeint.ensemble import CheckpointError, ChunkError, checkpoints
from sdeint.ensemble.corrections import APART
from tests.ensemble.interrupted import run
from tests.ensemble.problems import (
    GBM,
    ONE,
    SEEN,
    call,
    drift,
    first,
    kills_other_processes,
    slowly_seen,
)
from tests.ensemble.test_expect import same

ROOT = Path(__file__).parents[2]


def units(file):
    return int(checkpoints.read(file).arrays["0.units"].sum())


@pytest.fixture(scope="module")
def whole():
    return run(None)


@pytest.fixture
def half(tmp_path):
    file = tmp_path / "half.safetensors"
    run(file, paths=20_000)
    return file


def test_a_run_that_was_killed_goes_on_from_the_chunk_it_was_in_with_the_same_bits(tmp_path, whole):
    file = tmp_path / "run.safetensors"
    child = subprocess.Popen([sys.executable, "-m", "tests.ensemble.interrupted", file], cwd=ROOT)
    try:
        deadline = time.monotonic() + 60
        while not file.exists() and child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.2)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert child.returncode == -signal.SIGKILL
    saved = units(file)
    assert 1000 <= saved < 40_000
    assert saved % 1000 == 0
    seen = []

    def watched(y):
        seen.append(len(y))
        return first(y)

    again = run(file, watched)
    assert same(whole, again)
    assert sum(n for n in seen if n > 3) == 40_000 - saved  # besides the look at three states
    assert units(file) == 40_000


def test_a_finished_run_is_not_solved_again_and_can_be_prolonged(half, whole):
    calls = []

    def counted(y):
        calls.append(len(y))
        return first(y)

    run(half, counted, paths=20_000)
    assert max(calls) == 3
    assert same(whole, run(half, chunk=1000))
    with pytest.raises(CheckpointError, match="has 40000 paths already, more than the 30000"):
        run(half, paths=30_000)


def test_a_run_that_is_prolonged_from_half_a_chunk_stops_where_one_run_would(tmp_path):
    file = tmp_path / "run.safetensors"
    run(file, paths=1500)
    # 1500 paths would do, but one run looks at 1000 and at 2000.
    wanted = {"atol": 6e-3, "paths": 40_000}
    assert run(None, **{**wanted, "paths": 1500}).met
    assert run(None, **{**wanted, "paths": 1000}).met is False
    once = run(None, **wanted)
    assert once.paths == 2000
    assert same(once, run(file, **wanted))
    assert units(file) == 2000  # the chunk that met the tolerance included


def test_an_exception_in_the_middle_leaves_all_chunks_before_it_in_the_file(tmp_path, whole):
    file = tmp_path / "run.safetensors"
    count = []

    def breaks(y):
        count.append(1)
        if len(count) == 12:  # a look at three states and ten chunks came before
            raise KeyboardInterrupt
        return first(y)

    with pytest.raises(KeyboardInterrupt):
        run(file, breaks)
    assert units(file) == 10_000
    assert same(whole, run(file))


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (lambda d: d[: len(d) // 2], "damaged or none of sdeint's"),
        (lambda d: d[:7], "damaged or none of sdeint's"),
        (lambda d: b"", "damaged or none of sdeint's"),
        (lambda d: d[:-9] + bytes([d[-9] ^ 1]) + d[-8:], "do not have the checksum"),
        (lambda d: d.replace(b'seed\\": 8', b'seed\\": 7', 1), "do not have the checksum"),
        (lambda d: b"something else entirely, of some length", "damaged or none of sdeint's"),
    ],
)
def test_a_damaged_checkpoint_is_refused_and_left_alone(half, what, message):
    damaged = what(half.read_bytes())
    half.write_bytes(damaged)
    with pytest.raises(CheckpointError, match=message):
        run(half)
    assert half.read_bytes() == damaged


def test_every_single_bit_that_flips_is_noticed(half):
    data = half.read_bytes()
    for place in range(0, len(data), max(1, len(data) // 60)):
        half.write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
        with pytest.raises(CheckpointError):
            run(half)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 9}, "seed was 8 and is now 9"),
        ({"steps": 5}, "steps was 4 and is now 5"),
        ({"method": "SRID1"}, "method was"),
        ({"chunk": 999}, "chunk was 1000 and is now 999"),
        ({"antithetic": True}, "antithetic was False and is now True"),
        ({"histogram": [0.5, 1.0, 1.6]}, "histogram was"),
        ({"quantiles": ()}, "quantiles was True and is now False"),
        ({"path": "tree"}, "path was 'grid' and is now 'tree'"),
        ({"first_path": 1}, "first_path was 0 and is now 1"),
        ({"of": lambda y: y[:, 0] ** 2}, "the values of functional at a few states differ"),
    ],
)
def test_a_checkpoint_of_other_arguments_is_refused_by_the_name_of_the_argument(
    half, change, named
):
    before = half.read_bytes()

    with pytest.raises(CheckpointError, match=named):
        run(half, **change)
    assert half.read_bytes() == before


def test_a_checkpoint_of_another_equation_is_refused(half):
    for sde, name in ((SDE(lambda t, y: 0.06 * y, GBM.g), "f"), (SDE(drift, lambda t, y: y), "g")):
        with pytest.raises(CheckpointError, match=f"of another problem: the values of {name}"):
            expect(
                sde, ONE, [0.0, 1.0], first, checkpoint=half, paths=40_000, chunk=1000,
                method="EM", steps=4, seed=8, quantiles=(0.5,), histogram=[0.5, 1.0, 1.5],
            )  # fmt: skip


@pytest.mark.parametrize("call_that_fails", ["fsync", "replace"])
def test_a_full_disk_is_reported_and_the_checkpoint_before_it_is_intact(
    half, monkeypatch, whole, call_that_fails
):
    before = half.read_bytes()

    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(checkpoints.os, call_that_fails, full)
        with pytest.raises(CheckpointError, match=r"No space left.*the one before it is intact"):
            run(half)
    assert half.read_bytes() == before
    assert [f.name for f in half.parent.iterdir()] == [half.name]
    assert same(whole, run(half))


def test_a_disk_that_is_really_full_is_reported_and_the_checkpoint_is_intact(half):
    # A limit on the size of files makes the system itself refuse the bytes, in a process of its own.
    before = half.read_bytes()
    code = (
        "import resource, signal, sys, tests.ensemble.interrupted as i;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000));"
        "i.run(sys.argv[1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(half)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "could not be written (File too large); the one before it is intact" in done.stderr
    assert half.read_bytes() == before


# ---------------------------------------------------------------------- workers


def test_the_chunks_of_a_process_that_dies_are_computed_again(monkeypatch):
    monkeypatch.setenv("SDEINT_TEST_PARENT", str(os.getpid()))
    options = {"paths": 3000, "chunk": 500, "method": "EM", "steps": 4}
    with ProcessPoolExecutor(2) as pool, pytest.warns(RuntimeWarning, match="a worker was lost"):
        found = expect(GBM, ONE, [0.0, 1.0], kills_other_processes, executor=pool, **options)
    assert same(found, expect(GBM, ONE, [0.0, 1.0], first, **options))


class Unreliable(Executor):
    """Loses every third task, as a cluster does whose workers come and go."""

    def __init__(self, error):
        self.submitted, self.error = 0, error

    def submit(self, fn, /, *args, **kwargs):
        self.submitted += 1
        future = Future()
        if self.submitted % 3:
            future.set_result(fn(*args, **kwargs))
        else:
            future.set_exception(self.error)
        return future


@pytest.mark.parametrize(
    "error", [CancelledError(), KilledWorker("chunk", None, 4)], ids=["cancelled", "killed"]
)
def test_lost_chunks_of_a_pool_that_lives_on_are_computed_again_one_by_one(error):
    options = {"paths": 3000, "chunk": 300, "method": "EM", "steps": 4}
    pool = Unreliable(error)
    with pytest.warns(RuntimeWarning, match="computed again in this process"):
        found = expect(GBM, ONE, [0.0, 1.0], first, executor=pool, **options)
    assert pool.submitted == 10
    assert same(found, expect(GBM, ONE, [0.0, 1.0], first, **options))


def test_dask_does_the_chunks_of_a_worker_that_leaves_on_another():
    options = {"paths": 4000, "chunk": 100, "method": "EM", "steps": 2}
    SEEN.clear()
    with Client(processes=False, n_workers=2, threads_per_worker=1, dashboard_address=None) as c:

        def leave():
            while len(SEEN) < 15:
                time.sleep(0.005)
            c.sync(c.cluster.workers[0].close)

        leaving = threading.Thread(target=leave)
        leaving.start()
        found = expect(GBM, ONE, [0.0, 1.0], slowly_seen, executor=c, **options)
        leaving.join()
        assert len(c.cluster.scheduler.workers) == 1
    assert same(found, expect(GBM, ONE, [0.0, 1.0], first, **options))


class Lazy(Executor):
    """Does a task when its result is asked for, and counts those that wait."""

    def __init__(self):
        self.waiting, self.most = 0, 0

    def submit(self, fn, /, *args, **kwargs):
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        future = Future()

        def result(timeout=None):
            self.waiting -= 1
            return fn(*args, **kwargs)

        future.result = result
        return future


def test_no_more_chunks_than_allowed_are_in_flight():
    pool = Lazy()
    expect(
        GBM, ONE, [0.0, 1.0], first, paths=3000, chunk=100, method="EM", steps=2, executor=pool,
        in_flight=4,
    )  # fmt: skip
    assert pool.most == 4


# ---------------------------------------------------------------------- memory


def test_the_memory_does_not_grow_with_the_number_of_paths():
    # The values of half a million paths would be 32 MB; a process of its own has a peak of its own.
    code = (
        "import resource, torch;"
        "from tests.ensemble.interrupted import run;"
        "of = lambda y: y.expand(-1, 8);"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "options = {'chunk': 10_000, 'steps': 1, 'quantiles': (), 'histogram': None};"
        "run(None, of, **{**options, 'paths': 100_000});"
        "before = peak();"
        "run(None, of, **{**options, 'paths': 500_000});"
        "print(peak() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert int(done.stdout) < 10_000, done.stderr  # kilobytes


# ---------------------------------------------------------------------- levels


def test_a_functional_that_raises_on_a_level_is_reported_with_the_paths_that_repeat_it():
    count = []

    def breaks(y):
        count.append(1)
        if (
            len(count) == 5
        ):  # a look at three states, two chunks of level 0, the fine one of level 1
            raise ZeroDivisionError("here")
        return call(y)

    options = {"method": "EM", "seed": 7, "pilot": 1000, "chunk": 500}
    with pytest.raises(ChunkError, match=r"chunk 0, 500 paths from path \d+: functional") as caught:
        multilevel(GBM, ONE, [0.0, 1.0], breaks, 1e-2, **options)
    e = caught.value
    assert (e.first_path, e.paths, e.seed) == (APART, 500, 7)
    assert "ZeroDivisionError: here" in str(e)


def test_a_path_that_explodes_on_a_level_is_reported_with_level_and_index():
    sde = SDE(lambda t, y: torch.where(t > 0.3, y / 0 * y, y), lambda t, y: 0.0 * y)
    with pytest.raises(ChunkError, match=r"on level 1, 2 steps: path 17179869184 was lost"):
        multilevel(sde, ONE, [0.0, 1.0], call, 1e-2, method="EM", pilot=10)


def test_a_multilevel_run_that_was_interrupted_ends_with_the_same_bits(tmp_path):
    file = tmp_path / "levels.safetensors"
    options = {"method": "DFMilstein", "seed": 2, "chunk": 700, "pilot": 500}
    problem = (GBM, ONE, [0.0, 1.0])
    whole = multilevel(*problem, call, 2e-3, **options)
    for stop in (3, 7, 9):
        count = []

        def call_until(y, stop=stop, count=count):
            count.append(1)
            if len(count) == stop:
                raise KeyboardInterrupt
            return call(y)

        with pytest.raises(KeyboardInterrupt):
            multilevel(*problem, call_until, 2e-3, checkpoint=file, **options)
    assert multilevel(*problem, call, 2e-3, checkpoint=file, **options) == whole
    with pytest.raises(CheckpointError, match="multilevel was"):
        multilevel(*problem, call, 1e-3, checkpoint=file, **options)


def test_float32_runs_and_float64_runs_have_checkpoints_of_their_own(half):
    with pytest.raises(CheckpointError, match=r"dtype was 'torch.float64'"):
        expect(
            GBM, torch.ones(1), [0.0, 1.0], first, checkpoint=half, paths=40_000, chunk=1000,
            method="EM", steps=4, seed=8, quantiles=(0.5,), histogram=[0.5, 1.0, 1.5],
        )  # fmt: skip
