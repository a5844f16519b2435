"""Published samplers: their printed updates of x, written out here, against the tableaux on equal noise."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from diffusion import VE, VP, GaussianMixture, NoiseClock
from sdeint import SDE, GridPath, ProblemError, solve
from tableaux import Coupling, catalogue, order
from tableaux.relative import log_step
from tableaux.tableau import RELATIVE_STEP

MIXTURE = GaussianMixture([0.3, 0.5, 0.2], [[-1.5], [0.2], [2.0]], [0.09, 0.04, 0.16])
#: Times of uneven steps.
TIMES = torch.tensor([0.9, 0.8, 0.66, 0.6, 0.45, 0.3, 0.24, 0.1], dtype=torch.float64)
ITEMS = 5


class Setting:
    """x at the first of some times, the noise of the steps, and what the formulas call by name."""

    def __init__(self, process=None, times=TIMES):
        self.process, self.times = process or VP(), times
        self.alpha, self.sigma = self.process.alpha(times), self.process.sigma(times)
        self.lam, self.rho = self.process.lambda_(times), self.process.rho(times)
        self.x = torch.linspace(-2, 2, ITEMS, dtype=torch.float64)[:, None] * self.sigma[0]
        self.path = GridPath(3, (ITEMS,), (1,), dtype=torch.float64)
        drawn = self.path.on(self.rho).draw(0, len(times) - 1, ["W", "H", "K"])
        width = torch.diff(self.rho)[:, None, None]
        self.z = drawn["W"] / width.sqrt()
        self.independent = drawn["H"] * (12 / width).sqrt()
        self.another = drawn["K"] * (720 / width).sqrt()

    def x0(self, x, n):
        return MIXTURE.x0hat(x, self.alpha[n], self.sigma[n])

    def at_lambda(self, x, lam):
        t = self.process.t_of_lambda(lam)
        return MIXTURE.x0hat(x, self.process.alpha(t), self.process.sigma(t))

    def stochastic(self, method):
        """x at the end, by the engine in the noise clock."""
        clock = NoiseClock(MIXTURE.model(self.process, "x0"), self.process, "x0")
        z = self.x * self.rho[0] / self.alpha[0]
        end = solve(clock.sde(1), z, self.rho, method=method, path=self.path, save_at="end").y[-1]
        return end * self.alpha[-1] / self.rho[-1]

    def flow(self, method):
        """x at the end, by the engine in the clock of the probability flow."""
        clock = NoiseClock(MIXTURE.model(self.process, "x0"), self.process, "x0", eta=0.0)
        times = clock.of(self.times)
        z = clock.from_state(float(self.times[0]), self.x)
        end = solve(clock.sde(1), z, times, method=method, save_at="end").y[-1]
        return clock.to_state(float(times[-1]), end)

    def denoised(self, kappa, y):
        """The denoised state at alpha/sigma and x/sigma."""
        t = self.process.t_of_lambda(torch.log(kappa))
        sigma = self.process.sigma(t)
        return MIXTURE.x0hat(y * sigma, self.process.alpha(t), sigma)


def ddpm(s, noise=True):
    """Euler ancestral in sigma of x/alpha, as in k-diffusion: the same as DDPM's posterior."""
    x, level = s.x / s.alpha[0], s.sigma / s.alpha
    for n in range(len(s.times) - 1):
        x0 = s.x0(x * s.alpha[n], n)
        up = level[n + 1] * torch.sqrt(1 - level[n + 1] ** 2 / level[n] ** 2)
        down = torch.sqrt(level[n + 1] ** 2 - up**2)
        x = x + (x - x0) / level[n] * (down - level[n]) + up * s.z[n]
    return x * s.alpha[-1]


def ddim(s):
    """Song, Meng and Ermon, eq. 12 with sigma = 0."""
    x = s.x
    for n in range(len(s.times) - 1):
        x0 = s.x0(x, n)
        eps = (x - s.alpha[n] * x0) / s.sigma[n]
        x = s.alpha[n + 1] * x0 + s.sigma[n + 1] * eps
    return x


def euler_part(s, x, n, noise):
    """What DPM-Solver++ makes of x and of the noise in step n: everything but the denoiser."""
    h = s.lam[n + 1] - s.lam[n]
    x = s.sigma[n + 1] / s.sigma[n] * x
    if not noise:
        return x
    return torch.exp(-h) * x + s.sigma[n + 1] * torch.sqrt(-torch.expm1(-2 * h)) * s.z[n]


def single_step(s, x, x0, n, noise, exact_weights=False):
    """DPM-Solver++(2S) with r = 1/2 or, with exact weights, RES-2S with c2 = 1/2."""
    h = s.lam[n + 1] - s.lam[n]
    k = 2 * h if noise else h
    t = s.process.t_of_lambda(s.lam[n] + h / 2)
    alpha, sigma = s.process.alpha(t), s.process.sigma(t)
    inner = sigma / s.sigma[n] * (torch.exp(-h / 2) if noise else 1.0) * x
    inner = inner - alpha * torch.expm1(-k / 2) * x0
    if noise:
        # The path at the middle: its correlation with the step's increment, the rest independent.
        share = torch.expm1(h) / torch.expm1(2 * h)
        z = share.sqrt() * s.z[n] + (1 - share).sqrt() * s.independent[n]
        inner = inner + sigma * torch.sqrt(-torch.expm1(-h)) * z
    phi1 = -torch.expm1(-k) / k
    weight = 2 * (1 - phi1) / k / phi1 if exact_weights else 1.0
    mean = (1 - weight) * x0 + weight * MIXTURE.x0hat(inner, alpha, sigma)
    return euler_part(s, x, n, noise) - s.alpha[n + 1] * torch.expm1(-k) * mean


def dpm_singlestep(s, noise, exact_weights=False):
    x = s.x
    for n in range(len(s.times) - 1):
        x = single_step(s, x, s.x0(x, n), n, noise, exact_weights)
    return x


def phi1(z):
    return torch.expm1(z) / z


def phi2(z):
    return (phi1(z) - 1) / z


def exponential_step(s, x, n, noise, shares, coefficients):
    """Stages at a share of the step in lambda and at its end, in the form of exponential methods.

    `coefficients` maps the length of the step in the log of the clock to (a32, b2, b3).
    """
    h = s.lam[n + 1] - s.lam[n]
    k = 2 * h if noise else h
    a32, b2, b3 = coefficients(k)
    ends = [*shares, 1.0]
    path = path_at(s, n, ends) if noise else None

    def stage(i, parts):
        c = ends[i]
        t = s.process.t_of_lambda(s.lam[n] + c * h)
        alpha, sigma = s.process.alpha(t), s.process.sigma(t)
        new = sigma / s.sigma[n] * (torch.exp(-c * h) if noise else 1.0) * x
        new = new + alpha * k * sum(a * f for a, f in parts)
        return (new if path is None else new + sigma**2 / alpha * path[i]), alpha, sigma

    c2, c3 = shares
    first = s.x0(x, n)
    second = MIXTURE.x0hat(*stage(0, [(c2 * phi1(-c2 * k), first)]))
    third = MIXTURE.x0hat(*stage(1, [(c3 * phi1(-c3 * k) - a32, first), (a32, second)]))
    return stage(2, [(phi1(-k) - b2 - b3, first), (b2, second), (b3, third)])[0]


def path_at(s, n, shares):
    """Values of one path at shares of a step, of which 1 is its end: from one to the next by bridges."""
    h = s.lam[n + 1] - s.lam[n]
    times = [s.rho[n] * torch.expm1(2 * share * h) for share in shares]
    whole = times[-1]
    end = whole.sqrt() * s.z[n]
    value, at, found = torch.zeros_like(end), torch.zeros_like(whole), []
    for time, normal in zip(times, (s.independent[n], s.another[n], 0.0)):
        share = (time - at) / (whole - at) if time < whole else 1.0
        value = value + share * (end - value)
        value = value + ((time - at) * (1 - share)).sqrt() * normal
        found.append(value)
        at = time
    return found


def exponential(s, noise, shares, coefficients):
    x = s.x
    for n in range(len(s.times) - 1):
        x = exponential_step(s, x, n, noise, shares, coefficients)
    return x


def res_3s(s, noise):
    """Zhang and others with c2 = 1/2, c3 = 1."""
    c2, c3 = 0.5, 1.0
    gamma = (3 * c3**3 - 2 * c3) / (c2 * (2 - 3 * c2))

    def coefficients(k):
        b3 = phi2(-k) / (gamma * c2 + c3)
        return gamma * c2 * phi2(-c2 * k) + c3**2 / c2 * phi2(-c3 * k), gamma * b3, b3

    return exponential(s, noise, (c2, c3), coefficients)


def seeds_3(s, noise):
    """SEEDS-3 for data prediction, r1 = 1/3 and r2 = 2/3; without noise DPM-Solver++(3S)."""
    c2, c3 = 1 / 3, 2 / 3
    return exponential(
        s, noise, (c2, c3), lambda k: (c3**2 / c2 * phi2(-c3 * k), 0.0, phi2(-k) / c3)
    )


def er_sde(s, steps):
    """Cui and others, in x / alpha at u = sigma / alpha, with the noise scale u^2."""
    x, u, past, slopes = s.x / s.alpha[0], s.sigma / s.alpha, [], []
    for n in range(len(s.times) - 1):
        here, there = u[n], u[n + 1]
        past = [s.x0(x * s.alpha[n], n), *past][:2]
        share = there**2 / here**2
        new = share * x + (1 - share) * past[0]
        new = new + torch.sqrt(there**2 - here**2 * share**2) * s.z[n]
        if len(past) == 2:
            slopes = [(past[0] - past[1]) / (here - u[n - 1]), *slopes][:2]
            inverse = 1 / there - 1 / here  # the integral of 1/u^2
            new = new + (there - here + there**2 * inverse) * slopes[0]
        if steps == 3 and len(slopes) == 2:
            bend = (slopes[0] - slopes[1]) / ((here - u[n - 2]) / 2)
            moment = torch.log(here / there) - here * inverse  # that of (v - u)/v^2
            new = new + ((there - here) ** 2 / 2 + there**2 * moment) * bend
        x = new
    return x * s.alpha[-1]


def lagrange_3(s):
    """Li, Zhou, Wei and Chen's K = 3 as reconstructed, in the clock alpha/sigma for x/sigma."""
    kappa = s.alpha / s.sigma
    y = s.x / s.sigma[0]
    for a, b in itertools.pairwise(kappa):
        h = b - a
        nodes = [a, a + h / 2, b]
        first = s.denoised(a, y)
        f = [first, *(s.denoised(t, y + (t - a) * first) for t in nodes[1:])]
        middle = y + h * (5 * f[0] + 8 * f[1] - f[2]) / 24
        end = y + h * (f[0] + 4 * f[1] + f[2]) / 6
        f = [first, s.denoised(nodes[1], middle), s.denoised(b, end)]
        y = y + h * (f[0] + 4 * f[1] + f[2]) / 6
    return y * s.sigma[-1]


def adams_bashforth(s, noise):
    """Two steps in rho for the reverse SDE, or in alpha/sigma for the flow."""
    clock = s.rho if noise else s.alpha / s.sigma
    y, before = s.x * clock[0] / s.alpha[0], None
    for n in range(len(s.times) - 1):
        h = clock[n + 1] - clock[n]
        f = s.x0(y * s.alpha[n] / clock[n], n)
        slope = 0 if before is None else (f - before) / (clock[n] - clock[n - 1])
        y = y + h * f + h**2 / 2 * slope + noise * h.sqrt() * s.z[n]
        before = f
    return y * s.alpha[-1] / clock[-1]


def dpm_multistep(s, steps, noise, heun=False, doubled=True):
    """(SDE-)DPM-Solver++ of up to three steps, in lambda; three are started by a single step."""
    x, past = s.x, []
    for n in range(len(s.times) - 1):
        h = s.lam[n + 1] - s.lam[n]
        k = 2 * h if noise else h
        past = [s.x0(x, n), *past][:steps]
        if steps == 3 and n == 0:
            x = single_step(s, x, past[0], n, noise)
            continue
        gain = s.alpha[n + 1] * -torch.expm1(-k)
        first = s.alpha[n + 1] * (torch.expm1(-k) / k + 1)
        second = s.alpha[n + 1] * (0.5 - (torch.exp(-k) - 1 + k) / k**2)
        x = euler_part(s, x, n, noise) + gain * past[0]
        if len(past) >= 2:
            r0 = (s.lam[n] - s.lam[n - 1]) / h
            d10 = (past[0] - past[1]) / r0
        if len(past) == 2:
            x = x + (first * d10 if heun else gain / 2 * d10)
        if len(past) == 3:
            r1 = (s.lam[n - 1] - s.lam[n - 2]) / h
            d11 = (past[1] - past[2]) / r1
            d1 = d10 + r0 / (r0 + r1) * (d10 - d11)
            d2 = (d10 - d11) / (r0 + r1)
            x = x + first * d1 + (2 if doubled else 1) * second * d2
    return x


def heun_edm(s):
    """Karras and others, algorithm 1 with sigma(t) = t, for x / alpha."""
    x, level = s.x / s.alpha[0], s.sigma / s.alpha
    for n in range(len(s.times) - 1):
        d = (x - s.x0(x * s.alpha[n], n)) / level[n]
        step = level[n + 1] - level[n]
        ahead = x + step * d
        d2 = (ahead - s.x0(ahead * s.alpha[n + 1], n + 1)) / level[n + 1]
        x = x + step * (d + d2) / 2
    return x * s.alpha[-1]


def unipc(s):
    """UniPC-2 with B(h) = e^h - 1 and data prediction; its first step is of order 1."""
    x, past = s.x, [s.x0(s.x, 0)]
    for n in range(len(s.times) - 1):
        h = s.lam[n + 1] - s.lam[n]
        b = torch.expm1(-h)
        base = s.sigma[n + 1] / s.sigma[n] * x - s.alpha[n + 1] * b * past[0]
        if n < 1:
            ahead = base
        else:
            r1 = (s.lam[n - 1] - s.lam[n]) / h
            difference = (past[1] - past[0]) / r1
            ahead = base - s.alpha[n + 1] * b * 0.5 * difference
        new = s.x0(ahead, n + 1)
        if n < 1:
            x = base - s.alpha[n + 1] * b * 0.5 * (new - past[0])
        else:
            phi = b / -h - 1
            rhs = torch.stack([phi / b, (phi / -h - 0.5) * 2 / b])
            ones = torch.ones((), dtype=torch.float64)
            weights = torch.linalg.solve(
                torch.stack([torch.stack([ones, ones]), torch.stack([r1, ones])]), rhs
            )
            x = base - s.alpha[n + 1] * b * (weights[0] * difference + weights[1] * (new - past[0]))
        past = [new, *past][:2]
    return x


def sa_solver(s, predictor, corrector, noise=True):
    """SA-Solver with tau = 1 or 0: the Adams integrals by quadrature, with one evaluation a step."""
    power = 2 if noise else 1
    nodes, weights = (torch.tensor(v, dtype=torch.float64) for v in _gauss(24))
    x, past = s.x, [s.x0(s.x, 0)]

    def integrals(n, points):
        """The integrals of p e^{p lambda}, p = 1 + tau^2, times the Lagrange polynomials of lambdas."""
        low, high = s.lam[n], s.lam[n + 1]
        at = low + (high - low) * nodes
        kernel = power * torch.exp(power * (at - high)) * (high - low) * weights
        found = []
        for i, p in enumerate(points):
            lagrange = torch.ones_like(at)
            for j, q in enumerate(points):
                lagrange = lagrange * ((at - q) / (p - q) if j != i else 1.0)
            found.append((kernel * lagrange).sum())
        return found

    for n in range(len(s.times) - 1):
        base = euler_part(s, x, n, noise=noise)
        predicted = base
        before = [s.lam[n - i] for i in range(n + 1)]
        for b, value in zip(integrals(n, before[:predictor]), past):
            predicted = predicted + s.alpha[n + 1] * b * value
        new = s.x0(predicted, n + 1)
        past = [new, *past]
        x = base
        for b, value in zip(integrals(n, [s.lam[n + 1], *before[:corrector]]), past):
            x = x + s.alpha[n + 1] * b * value
    return x


def _gauss(count):
    x, w = np.polynomial.legendre.leggauss(count)
    return (x + 1) / 2, w / 2


def accelerated(s):
    """Li and others, eqs. for the stochastic accelerated sampler, with a = alpha_t of the step."""
    x = s.x
    for n in range(len(s.times) - 1):
        a = (s.alpha[n] / s.alpha[n + 1]) ** 2
        z1 = (s.z[n] + s.independent[n]) / math.sqrt(2)
        z2 = (s.z[n] - s.independent[n]) / math.sqrt(2)
        y = x + torch.sqrt((1 - a) / 2) * z1
        score = (s.alpha[n] * s.x0(y, n) - y) / s.sigma[n] ** 2
        x = (y + (1 - a) * score + torch.sqrt((1 - a) / 2) * z2) / torch.sqrt(a)
    return x


def overshoot(s):
    """A step of the flow of twice the length in lambda, then exact noising back to the target."""
    x, before = s.x, None
    for n in range(len(s.times) - 1):
        h = s.lam[n + 1] - s.lam[n]
        x0 = s.x0(x, n)
        ahead = x0 if before is None else x0 + h / (s.lam[n] - s.lam[n - 1]) * (x0 - before)
        before = x0
        level = torch.exp(-(s.lam[n] + 2 * h))  # sigma / alpha there
        flown = level * (x * torch.exp(s.lam[n]) / s.alpha[n] + ahead * (1 / level))
        flown = flown - level * torch.exp(s.lam[n]) * ahead
        noise = torch.sqrt(torch.exp(-2 * s.lam[n + 1]) - level**2)
        x = s.alpha[n + 1] * (flown + noise * s.z[n])
    return x


STOCHASTIC = {
    "EM": ddpm,
    "DPMSolver2M": lambda s: dpm_multistep(s, 2, True),
    "DPMSolver2MHeun": lambda s: dpm_multistep(s, 2, True, heun=True),
    "DPMSolver3M": lambda s: dpm_multistep(s, 3, True, heun=True),
    "DPMSolver2S": lambda s: dpm_singlestep(s, True),
    "RES2S": lambda s: dpm_singlestep(s, True, exact_weights=True),
    "RES3S": lambda s: res_3s(s, True),
    "SEEDS3": lambda s: seeds_3(s, True),
    "ERSDE2": lambda s: er_sde(s, 2),
    "ERSDE3": lambda s: er_sde(s, 3),
    "AB2": lambda s: adams_bashforth(s, True),
    "SASolver": lambda s: sa_solver(s, 2, 1),
    "SASolver3": lambda s: sa_solver(s, 3, 3),
    "AcceleratedDDPM": accelerated,
    "Overshoot": overshoot,
}
FLOW = {
    "EM": ddim,
    "DPMSolver2M": lambda s: dpm_multistep(s, 2, False),
    "DPMSolver2MHeun": lambda s: dpm_multistep(s, 2, False, heun=True),
    "DPMSolver3M": lambda s: dpm_multistep(s, 3, False, heun=True),
    "DPMSolver2S": lambda s: dpm_singlestep(s, False),
    "RES2S": lambda s: dpm_singlestep(s, False, exact_weights=True),
    "RES3S": lambda s: res_3s(s, False),
    "SEEDS3": lambda s: seeds_3(s, False),
    "AB2": lambda s: adams_bashforth(s, False),
    "Lagrange": lagrange_3,
    "HeunEDM": heun_edm,
    "UniPC2": unipc,
    "SASolver": lambda s: sa_solver(s, 2, 1, noise=False),
    "SASolver3": lambda s: sa_solver(s, 3, 3, noise=False),
}


@pytest.mark.parametrize("name", sorted(STOCHASTIC))
def test_a_stochastic_sampler_is_its_published_update_on_equal_noise(name):
    s = Setting()
    torch.testing.assert_close(s.stochastic(name), STOCHASTIC[name](s), rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("name", sorted(set(STOCHASTIC) - {"AcceleratedDDPM"}))
def test_the_process_does_not_matter(name):
    # The accelerated sampler alone is printed for a variance-preserving process.
    s = Setting(VE())
    torch.testing.assert_close(s.stochastic(name), STOCHASTIC[name](s), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", sorted(FLOW))
def test_a_sampler_of_the_probability_flow_is_its_published_update(name):
    s = Setting()
    torch.testing.assert_close(s.flow(name), FLOW[name](s), rtol=1e-10, atol=1e-11)


#: Orders without noise that are proved and claimed.
FLOW_ORDERS = {name: catalogue[name].claimed("none")[0] for name in FLOW}


def smooth(steps):
    """A range in which all is smooth, in equal steps of lambda."""
    return Setting(times=VP().t_of_lambda(torch.linspace(-1, 1, steps + 1, dtype=torch.float64)))


@cache
def exact_flow():
    return smooth(400).flow("RK4")


@pytest.mark.parametrize("name", sorted(set(FLOW) - {"SASolver3"}))
def test_the_order_on_the_probability_flow_is_observed(name):
    coarse, fine = (float((smooth(n).flow(name) - exact_flow()).norm()) for n in (80, 160))
    assert math.log2(coarse / fine) == pytest.approx(float(FLOW_ORDERS[name]), abs=0.2)


def test_adams_in_the_clock_itself_keeps_order_three_from_its_start_on():
    coarse, fine = (float((smooth(n).flow("AB3") - exact_flow()).norm()) for n in (80, 160))
    assert math.log2(coarse / fine) == pytest.approx(3, abs=0.3)


def test_the_published_start_leaves_unipc_3_the_order_of_its_first_step():
    coarse, fine = (float((smooth(n).flow("UniPC3") - exact_flow()).norm()) for n in (160, 320))
    assert math.log2(coarse / fine) == pytest.approx(3, abs=0.25)
    (note,) = {v.note for v in order(catalogue["UniPC3"]).by_noise.values()}
    assert "'Euler, corrected'" in note


def test_with_the_second_difference_halved_three_steps_have_order_two_only():
    # The printed formula, observed; and the tableau with that weight, proved.
    def error(steps, doubled):
        end = dpm_multistep(smooth(steps), 3, False, True, doubled)
        return float((end - exact_flow()).norm())

    assert math.log2(error(80, True) / error(160, True)) > 2.8
    assert math.log2(error(80, False) / error(160, False)) < 2.2
    right = catalogue["DPMSolver3M"]
    two, three = (
        {o.source: o.weights[0] for o in t.outputs} for t in (catalogue["DPMSolver2MHeun"], right)
    )
    assert set(three) - set(two) == {"before 2"}
    # Half of the way from the full parabola to the line through the same slope is the halved one.
    here, before, older = (log_step(back) for back in range(3))
    w = RELATIVE_STEP
    half = ((1 + w) / w * (1 - 2 / here) + 2 / here**2) / 2 * here / (before + older)
    change = {
        "now": -half * here / before,
        "before 1": half * (here / before + here / older),
        "before 2": -half * here / older,
    }
    outputs = [
        replace(o, weights=(o.weights[0] + change[o.source],)) if o.source in change else o
        for o in right.outputs
    ]
    halved = replace(right, name="halved", outputs=outputs, orders={})
    assert order(halved, noise="none").deterministic == 2


def test_a_stage_with_noise_of_its_own_loses_weak_order_two():
    # The trap: the stage's noise independent of that of the step.
    right = catalogue["DPMSolver2S"]
    kept = [c for c in right.couplings if c.label == "h"]
    own = Coupling("second", "noise", "H_k", (("sqrt(6)",),))
    wrong = replace(right, name="independent", couplings=(*kept, own), orders={})
    assert order(wrong, noise="martingale").weak == 1
    assert order(right, noise="martingale").weak == 2


class Quadrature(GridPath):
    """Nodes of Gauss for W and H of a single step, and for the random node."""

    def __init__(self, unit_w, unit_h, u):
        super().__init__(0, tuple(unit_w.shape), (1,), dtype=torch.float64)
        self.units = unit_w, unit_h, u

    def on(self, grid):
        self.h = float(grid[1] - grid[0])
        return self

    def draw(self, first, count, names):
        w, h, u = self.units
        scaled = {"W": w * self.h**0.5, "H": h * (self.h / 12) ** 0.5}
        scaled |= {"u": u, "bridge": torch.sqrt(12 * u * (1 - u))}
        return {name: scaled[name][None, :, None] for name in names}


def local_weak_error(method, data, h):
    """E Z^4 after one step from the exact law at rho = 1, less that of the exact law; no sampling."""
    x, weights = (torch.tensor(v) for v in np.polynomial.hermite_e.hermegauss(40))
    y, noise_weights = (torch.tensor(v) for v in np.polynomial.hermite_e.hermegauss(12))
    fourth, starts, shares = [], [], []
    for share, mean in zip(data.weights, data.means[:, 0]):
        for rho, here in ((1.0, True), (1.0 + h, False)):
            m, v = rho * mean, rho**2 * data.covariances + rho
            if here:
                starts.append(m + v.sqrt() * x)
                shares.append(share * weights / weights.sum())
            else:
                fourth.append(share * (m**4 + 6 * m**2 * v + 3 * v**2))
    nodes, node_weights = (torch.tensor(v) for v in _gauss(5 if method == "RandomMidpoint" else 1))
    z, a, b, u = torch.meshgrid(torch.cat(starts), y, y, nodes, indexing="ij")
    inner = noise_weights / noise_weights.sum()
    weight = torch.einsum("i,j,k,l->ijkl", torch.cat(shares), inner, inner, node_weights).flatten()
    clock = NoiseClock(data.model(VP(), "x0"), VP(), "x0")
    path = Quadrature(a.flatten(), b.flatten(), u.flatten())
    end = solve(clock.sde(1), z.flatten()[:, None], [1.0, 1.0 + h], method=method, path=path)
    return float((weight * end.y[-1, :, 0] ** 4).sum() - sum(fourth))


@pytest.mark.parametrize(
    ("name", "gaussian", "mixture"),
    [
        ("EM", 1, 1),
        ("AcceleratedDDPM", 2, 1),
        ("DPMSolver2S", 2, 2),
        ("RES2S", 2, 2),
        ("RandomMidpoint", 2, 2),
    ],
)
def test_the_weak_order_that_is_proved_is_observed_where_the_drift_is_not_linear(
    name, gaussian, mixture
):
    # A step has one order more than the method. On Gaussian data more than what is proved.
    one = GaussianMixture([1.0], [[0.4]], 0.5)
    two = GaussianMixture([0.6, 0.4], [[-0.7], [0.9]], 0.3)
    assert catalogue[name].claimed("martingale")[1] == mixture
    for data, weak in ((one, gaussian), (two, mixture)):
        coarse, fine = (abs(local_weak_error(name, data, h)) for h in (1 / 64, 1 / 128))
        assert math.log2(coarse / fine) == pytest.approx(weak + 1, abs=0.15), data


def test_a_method_in_relative_steps_refuses_a_time_that_is_not_positive():
    sde = SDE(lambda t, y: -y, lambda t, y: 1.0, noise="additive")
    with pytest.raises(ProblemError, match="must be positive; the interval begins at 0"):
        solve(sde, torch.ones(2, 1), [0.0, 1.0], steps=4, method="DPMSolver2M")


@pytest.mark.usefixtures("traced")
def test_compiled_steps_with_three_starts_equal_eager_ones():
    sde = SDE(lambda t, y: torch.tanh(y) / t, lambda t, y: 1.0, noise="additive")
    options = {"method": "DPMSolver3M", "steps": 45, "seed": 1}
    y0 = torch.linspace(-1, 1, 6, dtype=torch.float64)[:, None]
    eager = solve(sde, y0, [0.5, 2.0], compile=False, **options)
    compiled = solve(sde, y0, [0.5, 2.0], compile=True, **options)
    torch.testing.assert_close(eager.y, compiled.y, rtol=1e-10, atol=1e-12)
