"""What `expect` promises: the right numbers, the same bits however they are computed, clear refusals.

Statistical assertions allow 5.5 standard errors: a false alarm has probability 4e-8, once, since seeds
are fixed.
"""

from __future__ import annotations

import math
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from fractions import Fraction

import pytest
import torch

import sdeint
from sdeint import SDE, GridPath, ProblemError, expect, problems, solve
from sdeint.brownian import Antithetic
from sdeint.ensemble import ChunkError
from tests.ensemble.problems import GBM, ONE, RATE, SIZE, first, raises, square

T = [0.0, 1.0]
EXACT = {"method": "SRID1", "steps": 16}
MEAN = math.exp(RATE)
VARIANCE = MEAN**2 * (math.exp(SIZE**2) - 1)
FIELDS = ("mean", "error", "variance", "variance_error", "minimum", "maximum")


def near(value, truth, error, bias=0.0):
    return abs(float(value) - truth) < 5.5 * float(error) + bias


def same(a, b):
    return (
        all(torch.equal(getattr(a, name), getattr(b, name)) for name in FIELDS)
        and all(torch.equal(a.quantiles[q], b.quantiles[q]) for q in a.quantiles)
        and (a.histogram is None or torch.equal(a.histogram.counts, b.histogram.counts))
        and a.paths == b.paths
    )


# ---------------------------------------------------------------------- right numbers


def test_mean_variance_quantiles_and_histogram_are_those_of_the_lognormal_law():
    edges = torch.linspace(0.6, 1.8, 13)
    e = expect(
        GBM, ONE, T, first, paths=60_000, quantiles=(0.05, 0.5, 0.9), histogram=edges, **EXACT
    )
    bias = 2e-5
    assert near(e.mean, MEAN, e.error, bias)
    assert near(e.variance, VARIANCE, e.variance_error, bias)
    assert float(e.error) == pytest.approx(math.sqrt(VARIANCE / 60_000), rel=0.03)
    normal = torch.distributions.Normal(RATE - SIZE**2 / 2, SIZE)
    for q, value in e.quantiles.items():
        truth = float(torch.exp(normal.icdf(torch.tensor(q))))
        assert near(value, truth, e.quantile_errors[q], 1e-4)
        # The error is that of the order statistics: sqrt(q (1 - q)/n) over the density.
        density = math.exp(float(normal.log_prob(torch.tensor(math.log(truth))))) / truth
        assert float(e.quantile_errors[q]) == pytest.approx(
            math.sqrt(q * (1 - q) / 60_000) / density, rel=0.25
        )
    h = e.histogram
    shares = torch.diff(normal.cdf(torch.log(edges.double())))
    widths = torch.diff(edges.double())
    assert bool(((h.density - shares / widths).abs() < 5.5 * h.errors + 2e-3).all())
    assert int(h.counts.sum() + h.below + h.above) == 60_000
    low, high = e.interval
    assert float(high - low) == pytest.approx(2 * 1.96 * float(e.error), rel=1e-3)


@pytest.mark.parametrize("name", ["gbm", "pair", "ornstein-uhlenbeck"])
def test_known_functionals_of_the_problem_library_are_met(name):
    problem = problems.library[name]
    functional = problem.functional()
    e = expect(
        problem.sde(), problem.start(1)[0], problem.interval, functional, paths=20_000, steps=32
    )
    t = problem.interval[1] - problem.interval[0]
    assert e.name == functional.name
    assert near(e.mean, functional.exact(t), e.error, 2e-3 * abs(functional.exact(t)))


def test_the_estimate_is_the_mean_over_the_paths_that_solve_gives():
    y = solve(GBM, ONE.expand(500, 1), T, seed=3, first_path=40, **EXACT).y[-1][:, 0]
    e = expect(GBM, ONE, T, first, paths=500, seed=3, first_path=40, chunk=77, **EXACT)
    assert float(e.mean) == float(sum(map(Fraction, y.tolist())) / 500)
    torch.testing.assert_close(e.variance, y.var(), rtol=1e-13, atol=0)
    assert float(e.minimum) == float(y.min())
    assert float(e.maximum) == float(y.max())


def test_functionals_of_a_solution_see_the_times_that_were_asked_for():
    def mean_and_max(s):
        return torch.stack([s.y[..., 0].mean(0), s.y[..., 0].amax(0)], -1)

    e = expect(
        GBM, ONE, T, {"both": mean_and_max, "end": lambda s: s.y[-1]}, save_at=[0.5, 1.0],
        paths=20_000, covariance=True, **EXACT,
    )  # fmt: skip
    both = e["both"]
    assert both.mean.shape == (2,)
    assert near(both.mean[0], (MEAN + math.exp(RATE / 2)) / 2, both.error[0], 1e-5)
    torch.testing.assert_close(both.covariance.diagonal(), both.variance)
    assert e["end"].mean.shape == (1,)


def test_covariances_of_a_linear_problem_are_those_of_its_moments():
    problem = problems.library["pair"]
    y0, t = problem.start(1)[0], problem.interval
    e = expect(
        problem.sde(), y0, t, lambda y: y, paths=40_000, steps=64, method="W2F1", covariance=True
    )
    length = t[1] - t[0]
    mean = problem.linear.mean(y0, length)
    truth = problem.linear.second(y0, length) - mean[:, None] * mean
    assert bool(((e.covariance - truth).abs() < 5.5 * e.covariance_error + 2e-2).all())


def test_initial_values_may_differ_from_path_to_path_by_table_or_by_function():
    table = torch.linspace(0.5, 1.5, 300, dtype=torch.float64).unsqueeze(-1)

    def start(begin, count):
        return table[begin : begin + count]

    one = expect(GBM, table, T, first, paths=300, chunk=64, **EXACT)
    two = expect(GBM, start, T, first, paths=300, chunk=100, **EXACT)
    whole = solve(GBM, table, T, **EXACT).y[-1][:, 0]
    assert same(one, two)
    assert float(one.mean) == float(sum(map(Fraction, whole.tolist())) / 300)


# ---------------------------------------------------------------------- antithetic paths


@pytest.mark.parametrize(
    ("method", "path"), [("SRID1", "grid"), ("SRID1", "tree"), ("RI6", "grid"), ("W2F1", "grid")]
)
def test_antithetic_pairs_give_the_same_law_with_a_smaller_error(method, path):
    e = expect(
        GBM, ONE, T, first, paths=20_000, antithetic=True, method=method, steps=16, path=path
    )
    assert near(e.mean, MEAN, e.error, 2e-5)
    assert near(e.variance, VARIANCE, e.variance_error, 1e-3)
    assert float(e.reduction) > 20
    assert e.paths == 20_000


def test_antithetic_pairs_do_not_help_an_even_functional_and_say_so():
    sde = SDE(lambda t, y: 0.0 * y, lambda t, y: 1.0, noise="additive")
    e = expect(
        sde, torch.zeros(1).double(), T, square, paths=8000, antithetic=True, method="EM", steps=2,
        quantiles=(0.5,),
    )  # fmt: skip
    assert float(e.reduction) == pytest.approx(0.5, abs=0.01)
    assert near(e.mean, 1.0, e.error)
    assert near(e.quantiles[0.5], 0.454936, e.quantile_errors[0.5])


@pytest.mark.parametrize(
    ("noise", "method"),
    [
        ("diagonal", "SRID1"),  # W, H
        ("general", "SRI1"),  # W and Levy areas
        ("general", "RI6"),  # theta, sign
        ("general", "W2F1"),
        ("additive", "W3A4"),
        ("additive", "SRA1"),
    ],
)
def test_mirror_images_solve_the_equation_with_the_diffusion_reversed(noise, method):
    # For methods in which every stage is odd in g and the noise together; SRIW1's sqrt(h) g is not.
    def g(t, y):
        own = 0.3 + 0.1 * torch.sin(y)
        if noise == "additive":
            return 0.4
        return own if noise == "diagonal" else torch.stack([own, own.flip(-1) * y], -1)

    def reversed_g(t, y):
        return -g(t, y)

    def end(equation, path):
        y0 = torch.tensor([0.5, -0.2]).double().expand(path.batch[0], 2)
        return solve(equation, y0, T, method=method, steps=5, path=path).y[-1]

    plain = GridPath(3, (6,), (2,), dtype=torch.float64)
    pairs = end(SDE(lambda t, y: -y, g, noise=noise), Antithetic(plain))
    images = end(SDE(lambda t, y: -y, reversed_g, noise=noise), plain)
    torch.testing.assert_close(pairs[6:], images, rtol=1e-12, atol=1e-12)


def test_the_histogram_of_pairs_counts_their_dependence():
    sde = SDE(lambda t, y: 0.0 * y, lambda t, y: 1.0, noise="additive")
    options = {"paths": 20_000, "method": "EM", "steps": 1, "histogram": [-1.0, 0.0, 1.0, 2.0]}
    y0 = torch.zeros(1).double()
    pairs = expect(sde, y0, T, first, antithetic=True, **options).histogram
    alone = expect(sde, y0, T, first, **options).histogram
    # The two bins beside zero are each other's images: a pair has at most one value in either, and
    # the share varies by p (1 - 2 p)/2 rather than p (1 - p)/2 a path.
    p = 0.3413
    ratio = math.sqrt((1 - 2 * p) / (1 - p))
    assert float(pairs.errors[0] / alone.errors[0]) == pytest.approx(ratio, rel=0.05)
    assert float(pairs.errors[2] / alone.errors[2]) == pytest.approx(
        math.sqrt((1 - 2 * 0.1359) / (1 - 0.1359)), rel=0.05
    )


# ---------------------------------------------------------------------- tolerances


def test_a_run_stops_at_the_first_chunk_whose_standard_error_meets_the_tolerance():
    options = {"paths": 100_000, "chunk": 500, "atol": 2e-3, **EXACT}
    e = expect(GBM, ONE, T, first, **options)
    assert e.met
    assert float(e.error) <= 2e-3
    assert e.paths % 500 == 0
    before = expect(GBM, ONE, T, first, paths=e.paths - 500, **EXACT)
    assert float(before.error) > 2e-3
    short = expect(GBM, ONE, T, first, **{**options, "paths": 2000})
    assert not short.met
    assert "tolerance not met" in repr(short)
    few = expect(GBM, ONE, T, first, **{**options, "atol": 10.0})
    assert few.paths == 1000  # fewer are not trusted


def test_a_relative_tolerance_is_met_by_every_component_of_every_functional():
    e = expect(GBM, ONE, T, {"a": first, "b": square}, paths=50_000, chunk=1000, rtol=3e-3, **EXACT)
    for one in e.values():
        assert one.met
        assert float(one.error) <= 3e-3 * float(one.mean)
    assert e["a"].paths == e["b"].paths


# ---------------------------------------------------------------------- the same bits


FULL = {
    "paths": 6000,
    "quantiles": (0.1, 0.5),
    "histogram": [0.5, 1.0, 1.5],
    "seed": 5,
    **EXACT,
}


@pytest.fixture(scope="module")
def reference():
    return expect(GBM, ONE, T, first, chunk=1000, **FULL)


@pytest.mark.parametrize("chunk", [999, 1000, 6000, 7000, None])
def test_the_size_of_chunks_does_not_change_a_bit(reference, chunk):
    assert same(reference, expect(GBM, ONE, T, first, chunk=chunk, **FULL))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_chunks_do_not_change_a_bit_of_transcendental_fields(dtype):
    sde = SDE(lambda t, y: torch.sin(y) - y.exp() / 3, lambda t, y: torch.tanh(y + t))
    y0 = torch.tensor([0.3, -1.0, 0.7], dtype=dtype)
    options = {"paths": 90, "method": "SRID1", "steps": 3, "covariance": True}
    whole = expect(sde, y0, T, lambda y: y.cos(), **options)
    for chunk in (1, 7, 64, 89):
        part = expect(sde, y0, T, lambda y: y.cos(), chunk=chunk, **options)
        assert same(whole, part)
        assert torch.equal(whole.covariance, part.covariance)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("in_flight", [None, 1, 50])
def test_threads_do_not_change_a_bit(reference, workers, in_flight):
    with ThreadPoolExecutor(workers) as pool:
        e = expect(GBM, ONE, T, first, chunk=700, executor=pool, in_flight=in_flight, **FULL)
    assert same(reference, e)


def test_processes_do_not_change_a_bit(reference):
    with ProcessPoolExecutor(2, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        assert same(reference, expect(GBM, ONE, T, first, chunk=1500, executor=pool, **FULL))


@pytest.mark.parametrize("as_executor", [False, True])
def test_dask_does_not_change_a_bit_and_takes_functions_of_any_kind(reference, as_executor):
    from distributed import Client

    with Client(processes=False, n_workers=1, threads_per_worker=2, dashboard_address=None) as c:
        dask = c.get_executor() if as_executor else c
        e = expect(GBM, ONE, T, lambda y: y[:, 0], chunk=1000, executor=dask, **FULL)
    assert same(reference, e)


def test_a_tolerance_is_met_at_the_same_path_on_any_executor():
    options = {"paths": 50_000, "chunk": 500, "atol": 3e-3, **EXACT}
    with ThreadPoolExecutor(3) as pool:
        assert same(
            expect(GBM, ONE, T, first, **options),
            expect(GBM, ONE, T, first, executor=pool, in_flight=7, **options),
        )


# ---------------------------------------------------------------------- refusals


def refused(message, *, functional=first, y0=ONE, sde=GBM, t=T, **options):
    with pytest.raises(ProblemError, match=message):
        expect(sde, y0, t, functional, **{"paths": 100, "steps": 2, "method": "EM", **options})


def test_wrong_numbers_are_refused():
    refused("paths must be an int of at least 2, got 1", paths=1)
    refused("paths must be an int of at least 2, got 2.5", paths=2.5)
    refused("with a tolerance, how many at most", paths=None, rtol=1e-2)
    refused(
        "paths must be an even int of at least 4, in antithetic pairs", paths=7, antithetic=True
    )
    refused("chunk must be an even int", chunk=3, antithetic=True)
    refused("chunk must be a positive int", chunk=0)
    refused("seed must be an int", seed=-1)
    refused(r"first_path must be an int in \[0, 2\*\*40", first_path=2**40)
    refused("confidence must lie strictly between 0 and 1", confidence=95)
    refused("rtol must be a positive number", rtol=-1.0)
    refused("atol must be a positive number", atol=float("nan"))
    refused("each of quantiles must lie strictly between", quantiles=(0.5, 1.0))
    refused("histogram must be the edges of the bins", histogram=[1.0, 0.0])
    refused("histogram names 'b', which is no functional", histogram={"b": [0.0, 1.0]})
    refused("steps must be a positive int", steps=0)
    refused("path must be 'grid' or 'tree'", path="line")
    refused("in_flight must be a positive int", in_flight=0)
    refused("executor must be a concurrent.futures.Executor", executor=3)
    refused("there is no folder", checkpoint="/nowhere/at/all")
    refused("unknown argument 'stepz'; further arguments are those of sdeint.solve", stepz=3)


def test_wrong_functionals_are_refused_before_the_first_path():
    def never(t, y):
        raise AssertionError("a path was solved")

    sde = SDE(never, GBM.g)
    refused("must be a function of the end values", functional=3)
    refused("empty mapping", functional={})
    refused("named by strings", functional={1: first})
    refused("must return a tensor, got float", functional=lambda y: 1.0, sde=sde)
    refused(
        r"returned shape \(\) for 3 paths; it must return one value for each path",
        functional=lambda y: y.mean(),
        sde=sde,
    )
    refused("one value for each path", functional=lambda y: y.mean(0), sde=sde)
    refused("take real parts", functional=lambda y: torch.complex(y, y), sde=sde)
    refused("returned no numbers", functional=lambda y: y[:, :0], sde=sde)


def test_wrong_starts_are_refused():
    refused(r"y0 has shape \(3, 1\); it must be one state of 1 axes", y0=torch.ones(3, 1))
    refused("y0 must be a tensor, or a function", y0=[1.0])
    refused("it must be .1, ...", y0=lambda a, n: torch.ones(7, 1))
    refused("NaN or infinite", y0=torch.tensor([math.nan]))


def test_a_functional_that_raises_is_reported_with_what_repeats_its_chunk():
    options = {"chunk": 500, "seed": 9, **EXACT}
    with pytest.raises(ChunkError, match="functional 'raises' raised ZeroDivisionError") as caught:
        expect(GBM, ONE, T, raises, paths=5000, **options)
    e = caught.value
    assert isinstance(e.__cause__, ZeroDivisionError)
    assert (e.first_path, e.paths, e.seed) == (500 * e.chunk, 500, 9)
    with pytest.raises(ChunkError, match="too large"):
        expect(
            GBM,
            ONE,
            T,
            raises,
            first_path=e.first_path,
            paths=e.paths,
            **{**options, "seed": e.seed},
        )
    if e.chunk:
        expect(GBM, ONE, T, raises, paths=e.first_path, **options)
    with (
        ProcessPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,)) as pool,
        pytest.raises(ChunkError) as again,
    ):
        expect(GBM, ONE, T, raises, paths=5000, executor=pool, **options)
    assert str(again.value) == str(e)


def test_a_value_that_is_not_finite_is_reported_with_its_path():
    y = solve(GBM, ONE.expand(3000, 1), T, **EXACT).y[-1][:, 0]
    worst = int(y.argmin())
    limit = float(y[worst])

    def logarithm(y):
        return torch.log((y[:, 0] - limit).clamp_min(0))

    with pytest.raises(ChunkError, match=rf"'logarithm' is -inf on path {worst};"):
        expect(GBM, ONE, T, logarithm, paths=3000, chunk=400, **EXACT)


def test_a_path_that_explodes_is_reported_with_its_index_among_all():
    table = torch.zeros(30, 1, dtype=torch.float64)
    table[23] = 100.0
    sde = SDE(lambda t, y: y**3, lambda t, y: 0.0, noise="additive")
    with pytest.raises(ChunkError, match=r"chunk 2, 10 paths from path 20: path 23 was lost") as e:
        expect(sde, table, T, first, paths=30, chunk=10, method="EM", steps=50)
    assert isinstance(e.value.__cause__, sdeint.NonFiniteError)


def test_functions_that_cannot_be_pickled_are_refused_by_name_of_the_remedy():
    with ProcessPoolExecutor(1) as pool:
        refused("Define f, g and functionals at the top level", functional=lambda y: y[:, 0],
                executor=pool)  # fmt: skip


def test_auto_takes_a_method_for_paths_where_the_law_is_wanted():
    moments = expect(GBM, ONE, T, first, paths=100, steps=2)
    law = expect(GBM, ONE, T, first, paths=100, steps=2, quantiles=(0.5,))
    assert law.method == sdeint.choosing.choose(GBM).method
    assert moments.method == sdeint.choosing.choose(GBM, purpose="moments").method


def test_progress_shows_paths_and_the_time_that_remains(capsys):
    expect(GBM, ONE, T, first, paths=100, steps=2, progress=True)
    shown = capsys.readouterr().out
    assert "100/100" in shown
    assert "0:00:0" in shown


def test_progress_towards_a_tolerance_counts_to_the_paths_that_it_will_take(capsys):
    e = expect(GBM, ONE, T, first, paths=10**9, chunk=2000, steps=2, atol=2e-3, progress=True)
    assert e.paths == 12_000  # (0.21 / 2e-3)^2 = 11 000, in whole chunks
    assert f"{e.paths}/{e.paths}" in capsys.readouterr().out
