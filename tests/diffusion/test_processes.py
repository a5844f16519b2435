"""Forward processes: closed forms and their inverses to rounding, and the SDE behind them."""

from __future__ import annotations

import math

import mpmath
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from diffusion import EDM, VE, VP, CosineVP, DiscreteVP, Flow, Process, SubVP

EPS = 2.0**-52
BETAS = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
DISCRETE = DiscreteVP.from_betas(BETAS)
PROCESSES = [
    VP(),
    VP(0.05, 12.0),
    VP(1.0, 60.0),
    VE(),
    VE(0.002, 80.0),
    SubVP(),
    EDM(),
    DISCRETE,
    CosineVP(),
    Flow(),
]
#: Those that end with nothing of the data left.
EMPTY = (CosineVP, Flow)
ids = [repr(p) for p in PROCESSES]
# exponents down to 1e-8 as likely as the middle and the far end of the range
times = st.one_of(
    st.floats(1e-8, 1 - 1e-8),
    st.floats(-8, 0).map(lambda e: 10.0**e).filter(lambda t: t < 1),
    st.floats(-8, -0.5).map(lambda e: 1 - 10.0**e),
)
each_process = pytest.mark.parametrize("process", PROCESSES, ids=ids)


def exact(process: Process, t: float) -> tuple[mpmath.mpf, mpmath.mpf]:
    """alpha and sigma by their textbook formulas in 60 digits, which no cancellation can spoil."""
    t = mpmath.mpf(t)
    if isinstance(process, Flow):
        return 1 - t, t
    if isinstance(process, VE):
        low, high = mpmath.mpf(process.sigma_min), mpmath.mpf(process.sigma_max)
        return mpmath.mpf(1), low * (high / low) ** t
    if isinstance(process, EDM):
        return mpmath.mpf(1), t
    if isinstance(process, CosineVP):
        s = mpmath.mpf(process.offset)
        alpha = mpmath.cos((t + s) / (1 + s) * mpmath.pi / 2) / mpmath.cos(
            s / (1 + s) * mpmath.pi / 2
        )
        return alpha, mpmath.sqrt(1 - alpha**2)
    if isinstance(process, DiscreteVP):
        k = min(int(t * process.labels), process.labels - 1)
        below, above = (mpmath.mpf(b) for b in (0.0, *process.integrals)[k : k + 2])
        decay = mpmath.exp(-(below + (t * process.labels - k) * (above - below)))
        return mpmath.sqrt(decay), mpmath.sqrt(1 - decay)
    assert isinstance(process, VP | SubVP)
    b0, b1 = mpmath.mpf(process.beta0), mpmath.mpf(process.beta1)
    decay = mpmath.exp(-(b0 * t + (b1 - b0) * t**2 / 2))
    return mpmath.sqrt(decay), mpmath.sqrt(1 - decay) if isinstance(process, VP) else 1 - decay


@each_process
@given(t=times)
def test_alpha_sigma_and_clocks_are_exact_to_rounding(process: Process, t: float) -> None:
    t *= process.T
    with mpmath.workdps(60):
        alpha, sigma = exact(process, t)
        # exp of a number of size up to 10 carries 10 roundings
        for value, truth in (
            (process.alpha(t), alpha),
            (process.sigma(t), sigma),
            (process.rho(t), (alpha / sigma) ** 2),
        ):
            assert abs(float(value) - truth) <= 40 * EPS * truth
        clock = mpmath.log(alpha / sigma)
        assert abs(float(process.lambda_(t)) - clock) <= 8 * EPS * (1 + abs(clock))


@each_process
@given(t=times)
def test_inverses_return_the_time_to_rounding(process: Process, t: float) -> None:
    t *= process.T
    # A clock value is rounded, which moves the time by (rounding of the clock) / (slope); the slope
    # of lambda is -(beta + d log(sigma^2)/dt)/2 = -g^2 / (2 sigma^2).
    slope = float(process.g(t) / process.sigma(t)) ** 2 / 2
    clock = float(process.lambda_(t))
    for back, rounding in (
        (process.t_of_lambda(clock), 8 * EPS * (1 + abs(clock))),
        (process.t_of_rho(process.rho(t)), 40 * EPS),
    ):
        assert abs(float(back) - t) <= 8 * EPS * t + rounding / slope


@each_process
@given(fraction=st.floats(0, 1))
def test_clocks_of_the_inverses_return_the_clock(process: Process, fraction: float) -> None:
    low = max(float(process.lambda_(process.T)), -25.0)
    high = min(float(process.lambda_(0.0)), 25.0)
    clock = low + fraction * (high - low)
    t = process.t_of_lambda(clock)
    # near t = T of Flow, t itself has no room for the clock: 1 - t is a multiple of 2^-53
    sensitivity = float((process.g(t) / process.sigma(t)) ** 2 / 2)
    slack = EPS * float(t) * sensitivity if t < process.T else math.inf
    assert abs(float(process.lambda_(t)) - clock) <= 20 * EPS * (1 + abs(clock)) + 8 * slack


@each_process
def test_clocks_fall_and_stay_consistent(process: Process) -> None:
    t = process.T * torch.linspace(1e-4, 1 - 1e-4, 1001, dtype=torch.float64)
    assert (process.lambda_(t).diff() < 0).all()
    assert (process.rho(t).diff() < 0).all()
    torch.testing.assert_close(
        process.rho(t), torch.exp(2 * process.lambda_(t)), rtol=1e-13, atol=0
    )
    torch.testing.assert_close(process.rho(t), (process.alpha(t) / process.sigma(t)) ** 2)


@each_process
def test_marginals_solve_the_moment_equations_of_the_sde(process: Process) -> None:
    # dx = -beta x/2 dt + g dW: d log(alpha)/dt = -beta/2, d(sigma^2)/dt = g^2 - beta sigma^2
    # In the middle between trained times, at which the derivative of a discrete process jumps.
    t = process.T * torch.linspace(0.0105, 0.9893, 99, dtype=torch.float64)
    t.requires_grad_()
    (slope,) = (
        torch.autograd.grad(
            process.alpha(t).log().sum(), t, allow_unused=True, materialize_grads=True
        )
        if process.alpha(t).requires_grad
        else (torch.zeros_like(t),)
    )
    torch.testing.assert_close(slope, -process.beta(t).detach() / 2, rtol=1e-12, atol=1e-12)
    (growth,) = torch.autograd.grad((process.sigma(t) ** 2).sum(), t)
    with torch.no_grad():
        expected = process.g(t) ** 2 - process.beta(t) * process.sigma(t) ** 2
    torch.testing.assert_close(growth, expected, rtol=1e-11, atol=1e-12)


def test_variance_is_preserved_only_by_vp() -> None:
    t = torch.linspace(0, 1, 11, dtype=torch.float64)
    torch.testing.assert_close(VP().alpha(t) ** 2 + VP().sigma(t) ** 2, torch.ones_like(t))
    torch.testing.assert_close(SubVP().sigma(t), VP().sigma(t) ** 2)
    torch.testing.assert_close(SubVP().alpha(t), VP().alpha(t))


@each_process
def test_times_are_float64_whatever_comes_in(process: Process) -> None:
    for t in (0.5, torch.tensor(0.5), torch.full((2, 3), 0.5)):
        for function in (process.alpha, process.sigma, process.lambda_, process.rho, process.beta):
            value = function(t)
            assert value.dtype == torch.float64
            assert value.shape == torch.as_tensor(t).shape


def test_ends_of_the_range() -> None:
    assert float(VP().sigma(0.0)) == 0.0
    assert float(VP().alpha(0.0)) == 1.0
    assert float(VP().t_of_lambda(math.inf)) == 0.0
    assert float(Flow().t_of_lambda(-math.inf)) == 1.0
    assert float(Flow().t_of_rho(0.0)) == 1.0
    assert float(CosineVP().t_of_rho(0.0)) == float(CosineVP().t_of_lambda(-math.inf)) == 1.0
    assert float(EDM().t_of_lambda(math.inf)) == float(EDM().sigma(0.0)) == 0.0
    for process in PROCESSES:
        if not isinstance(process, EMPTY):
            last = process.t_of_lambda(process.lambda_(process.T))
            assert float(last) == pytest.approx(process.T, rel=1e-14)


def test_a_discrete_process_meets_the_trained_levels_exactly() -> None:
    products = torch.cumprod(1 - BETAS, 0)
    labels = torch.arange(1000, dtype=torch.float64)
    for process in (DISCRETE, DiscreteVP.from_alphas_cumprod(products)):
        times = process.t_of_label(labels)
        torch.testing.assert_close(process.alpha(times) ** 2, products, rtol=1e-13, atol=0)
        assert torch.equal(process.label(times), labels)
        # bit for bit what the table says, although (k / N) N is not always k in floating point
        b = torch.tensor(process.integrals, dtype=torch.float64)
        assert torch.equal(process.alpha(times), torch.exp(-b / 2))
    # -expm1(-cumsum(log1p(-beta))) keeps what 1 - cumprod(1 - beta) rounds away
    tiny = DiscreteVP.from_betas(torch.full((4,), 1e-12, dtype=torch.float64))
    assert float(tiny.sigma(1.0)) ** 2 == pytest.approx(4e-12, rel=1e-11)


def test_labels_run_linearly_between_trained_times() -> None:
    assert float(DISCRETE.label(0.5005)) == pytest.approx(499.5, rel=1e-12)
    assert DISCRETE.trained == (1e-3, 1.0)
    assert repr(DISCRETE) == "DiscreteVP(1000 labels, lambda 4.605 to -5.059)"
    assert DiscreteVP.from_betas(BETAS) == DISCRETE
    assert len({DISCRETE, DiscreteVP.from_betas(BETAS)}) == 1


def test_a_discrete_process_of_fine_labels_is_the_continuous_one() -> None:
    n = 4000
    exact_integral = VP()._integral(torch.arange(1, n + 1, dtype=torch.float64) / n)
    fine = DiscreteVP(tuple(exact_integral.tolist()))
    t = torch.linspace(0.0013, 0.9987, 313, dtype=torch.float64)
    # piecewise linear interpolation of B, whose second derivative is 19.9
    bound = 19.9 / 8 / n**2 * VP().alpha(t) / 2
    assert ((fine.alpha(t) - VP().alpha(t)).abs() <= 1.01 * bound).all()


def test_the_cosine_schedule_has_the_published_alphas() -> None:
    # the betas that the source makes from this alpha, before it cuts them
    t = torch.linspace(0, 1, 11, dtype=torch.float64)
    f = torch.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2
    torch.testing.assert_close(CosineVP().alpha(t) ** 2, f / f[0], rtol=1e-12, atol=1e-30)


def test_edm_has_time_equal_to_noise() -> None:
    t = torch.tensor([0.002, 1.0, 80.0], dtype=torch.float64)
    assert torch.equal(EDM().sigma(t), t)
    assert EDM().T == 80.0
    assert EDM().trained == (0.002, 80.0)


@settings(max_examples=25)
@given(t=st.one_of(st.floats(max_value=-1e-9), st.floats(min_value=1 + 1e-9), st.just(math.nan)))
def test_times_outside_the_process_are_refused(t: float) -> None:
    with pytest.raises(ValueError, match=r"lies outside \[0, 1\]"):
        VP().alpha(t)


def test_unreachable_clocks_are_refused() -> None:
    with pytest.raises(ValueError, match=r"lambda = -9.0 is never reached by VP"):
        VP().t_of_lambda(torch.tensor([1.0, -9.0]))
    with pytest.raises(ValueError, match=r"rho = -1.0 is never reached"):
        Flow().t_of_rho(-1.0)
    with pytest.raises(ValueError, match=r"never reached"):
        VE().t_of_lambda(20.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: VP(20.0, 0.1), "beta1 = 0.1 is below beta0"),
        (lambda: VP(0.0, 1.0), "beta0 = 0.0 must be positive"),
        (lambda: SubVP(0.1, math.nan), "beta1 = nan must be positive and finite"),
        (lambda: VE(1.0, 0.1), "sigma_max = 0.1 must be above"),
        (lambda: VE(-1.0, 0.1), "sigma_min = -1.0 must be positive"),
        (lambda: EDM(1.0, 0.1), "sigma_max = 0.1 must be above"),
        (lambda: CosineVP(-0.1), "offset = -0.1 must be positive"),
        (lambda: DiscreteVP.from_betas([0.1, 0.0, 0.1]), "strictly between 0 and 1.*at label 1"),
        (lambda: DiscreteVP.from_betas([0.1, 1.0]), "strictly between 0 and 1.*at label 1"),
        (lambda: DiscreteVP.from_alphas_cumprod([0.9, 0.0]), r"at label 1.*2\*\*-24"),
        (lambda: DiscreteVP(()), "no label at all"),
    ],
)
def test_nonsense_parameters_are_refused(make, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        make()


def test_processes_are_values() -> None:
    assert VP() == VP(0.1, 20.0)
    assert repr(VP()) == "VP(beta0=0.1, beta1=20.0)"
    assert len({Flow(), Flow(), VE()}) == 2


@each_process
def test_a_time_has_the_same_bits_alone_and_among_others(process: Process) -> None:
    # Methods with random nodes have a time an item; an item must not depend on its batch.
    t = process.T * torch.linspace(0.01, 0.99, 101, dtype=torch.float64)
    for function in (process.alpha, process.sigma, process.lambda_, process.rho):
        values = function(t)
        assert torch.equal(values, torch.stack([function(one) for one in t]))
    for level, inverse in (
        (process.lambda_(t), process.t_of_lambda),
        (process.rho(t), process.t_of_rho),
    ):
        assert torch.equal(inverse(level), torch.stack([inverse(one) for one in level]))
