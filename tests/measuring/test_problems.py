"""Every closed form of the problem library is proved, not trusted.

Each problem is written down a second time, in sympy. Ito's formula applied to the symbolic solution
must give the symbolic equation; the expectations must follow from Gaussian moments or from the
generator; and the torch functions must agree with the symbols at random points.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import sympy as sp
import torch

from sdeint import problems
from sdeint.problems import PathValues, Problem

t = sp.Symbol("t", positive=True)
W = sp.symbols("W1:5", real=True)
x = sp.symbols("x1:5", real=True)
integral = sp.Symbol("I", real=True)  # of W_1 over time


@dataclass(frozen=True)
class Symbols:
    """The Ito drift and diffusion in x and t, and the solution in t, W and the time integral of
    W_1."""

    drift: list[sp.Expr]
    diffusion: list[list[sp.Expr]]
    solution: list[sp.Expr] | None = None


def number(value: float) -> sp.Rational:
    return sp.Rational(str(value))


def linear_symbols(problem: Problem, solution: list[sp.Expr] | None = None) -> Symbols:
    assert problem.linear is not None
    d, m = len(problem.y0), problem.channels
    state = sp.Matrix(x[:d])
    A = sp.Matrix(problem.linear.A)
    B = [sp.Matrix(b) for b in problem.linear.B]
    return Symbols(
        drift=list(A * state),
        diffusion=[[(B[k] * state)[i] for k in range(m)] for i in range(d)],
        solution=solution,
    )


def spiral_symbols(
    drift: tuple[str, str], noise: list[tuple[str, str]], y0: tuple[int, int]
) -> Symbols:
    a, *b = (sp.Rational(p) + sp.I * sp.Rational(q) for p, q in (drift, *noise))
    z, z0 = x[0] + sp.I * x[1], y0[0] + sp.I * y0[1]
    log = (a - sum(c**2 for c in b) / 2) * t + sum(c * w for c, w in zip(b, W, strict=False))
    size, angle = sp.exp(sp.re(sp.expand(log))), sp.im(sp.expand(log))
    end = sp.expand(size * (sp.cos(angle) + sp.I * sp.sin(angle)) * z0)

    def parts(value: sp.Expr) -> list[sp.Expr]:
        return [sp.re(sp.expand(value)), sp.im(sp.expand(value))]

    columns = [parts(c * z) for c in b]
    return Symbols(parts(a * z), [[column[i] for column in columns] for i in (0, 1)], parts(end))


def symbols(name: str) -> Symbols:
    X = x[0]
    if name == "gbm":
        mu, sigma = number(0.5), number(0.6)
        return Symbols([mu * X], [[sigma * X]], [sp.exp((mu - sigma**2 / 2) * t + sigma * W[0])])
    if name == "bounded":
        return Symbols(
            [-X * (1 - X**2) / 4],
            [[(1 - X**2) / 2]],
            [sp.tanh(sp.atanh(number(0.1)) + W[0] / 2)],
        )
    if name == "hyperbolic":
        root = sp.sqrt(X**2 + 1)
        return Symbols([X / 2 + root], [[root]], [sp.sinh(t + W[0])])
    if name == "fading":
        alpha, beta = number(0.8), number(1.2)
        return Symbols(
            [beta / sp.sqrt(1 + t) - X / (2 * (1 + t))],
            [[alpha * beta / sp.sqrt(1 + t)]],
            [(1 + beta * (t + alpha * W[0])) / sp.sqrt(1 + t)],
        )
    if name == "growth":
        sigma, v0 = number(0.8), number(0.2)
        return Symbols(
            [X * x[1], sp.Integer(0)],
            [[sp.Integer(0)], [sigma]],
            [sp.exp(v0 * t + sigma * integral), v0 + sigma * W[0]],
        )
    if name in ("swirl", "pulsed swirl"):
        pulse = 1 if name == "pulsed swirl" else 0
        noise = 1 + pulse * sp.sin(3 * t) / 2
        return Symbols(
            [sp.sin(x[1]) - X, sp.cos(2 * X + pulse * t) - x[1] / 2],
            [[noise, noise * number(0.3)], [-noise * number(0.4), noise * number(0.8)]],
        )
    if name == "ornstein-uhlenbeck":
        return Symbols([number(1.5) * (number(0.5) - X)], [[number(0.8)]])
    if name == "denoiser":
        a, size = number(1.0), number(0.25)
        q = 1 + t * size**2
        return Symbols([(size**2 * X + a * sp.tanh(a * X / q)) / q], [[sp.Integer(1)]])
    if name == "diagonal":
        mu = [number(v) for v in (0.6, -0.3, 0.1, -0.8)]
        sigma = [number(v) for v in (0.4, 0.7, -0.5, 0.3)]
        start = [number(v) for v in (1.0, 0.5, -1.5, 2.0)]
        return Symbols(
            [a * v for a, v in zip(mu, x, strict=True)],
            [[sigma[i] * x[i] if i == k else sp.Integer(0) for k in range(4)] for i in range(4)],
            [
                start[i] * sp.exp((mu[i] - sigma[i] ** 2 / 2) * t + sigma[i] * W[i])
                for i in range(4)
            ],
        )
    if name == "orbit":
        decay, spin, a, b = (number(v) for v in (0.5, 1.5, 1.0, 0.5))
        speed = spin * (1 + t) * (X**2 + x[1] ** 2)
        s = sp.Symbol("s")
        radius2 = (a**2 + b**2) * sp.exp(-2 * decay * s)
        angle = sp.integrate(spin * (1 + s) * radius2, (s, 0, t))
        c, z = sp.cos(angle), sp.sin(angle)
        return Symbols(
            [-decay * X - speed * x[1], -decay * x[1] + speed * X],
            [[sp.Integer(0)]] * 2,
            [sp.exp(-decay * t) * (a * c - b * z), sp.exp(-decay * t) * (a * z + b * c)],
        )
    if name == "oscillator":
        real = -number(0.2) - number(0.7) ** 2 / 2
        return spiral_symbols((str(real), "1"), [("0", "7/10")], (1, 0))
    if name == "spiral":
        return spiral_symbols(("-3/10", "1"), [("3/10", "2/5"), ("1/5", "-1/2")], (1, 0))
    if name == "bounded plane":
        B = [[number(0.6), number(0.3)], [-number(0.4), number(0.5)]]
        centre = [sp.atanh(number(0.1)), sp.atanh(-number(0.3))]
        return Symbols(
            [-x[i] * (1 - x[i] ** 2) * sum(b**2 for b in B[i]) for i in range(2)],
            [[(1 - x[i] ** 2) * b for b in B[i]] for i in range(2)],
            [sp.tanh(centre[i] + B[i][0] * W[0] + B[i][1] * W[1]) for i in range(2)],
        )
    if name == "unicycle":
        speed, slip, turn = number(1.0), number(0.6), number(0.9)
        c, s, zero = sp.cos(x[2]), sp.sin(x[2]), sp.Integer(0)
        return Symbols(
            [speed * c, speed * s, zero], [[slip * c, zero], [slip * s, zero], [zero, turn]]
        )
    return linear_symbols(problems.library[name])


SOLVED = sorted(name for name, p in problems.library.items() if p.solution is not None)


def vanishes(expression: sp.Expr) -> bool:
    """Whether it is zero: symbolically where sympy can tell, else to 50 digits at rational
    points."""
    if sp.simplify(expression) == 0:
        return True
    free = sorted(expression.free_symbols, key=str)
    for seed in range(1, 6):
        point = {v: sp.Rational(7 * seed + 3 * n + 1, 29 + n) for n, v in enumerate(free)}
        if abs(expression.subs(point).evalf(50)) > sp.Float("1e-40"):
            return False
    return True


@pytest.mark.parametrize("name", SOLVED)
def test_the_solution_satisfies_the_equation_by_itos_formula(name: str) -> None:
    problem, form = problems.library[name], symbols(name)
    assert form.solution is not None
    at = dict(zip(x, form.solution, strict=False))
    for i, value in enumerate(form.solution):
        # dI = W_1 dt, d<W_k> = dt
        drift = sp.diff(value, t) + W[0] * sp.diff(value, integral)
        drift += sum(sp.diff(value, w, 2) for w in W[: problem.channels]) / 2
        assert vanishes(drift - form.drift[i].subs(at, simultaneous=True))
        for k in range(problem.channels):
            assert vanishes(sp.diff(value, W[k]) - form.diffusion[i][k].subs(at, simultaneous=True))
        start = value.subs({t: 0, integral: 0, **dict.fromkeys(W, 0)})
        assert vanishes(start - number(problem.y0[i]))


@pytest.mark.parametrize("name", sorted(problems.library))
def test_both_calculi_describe_the_same_process(name: str) -> None:
    """Stratonovich drift = Ito drift - sum_k (dg_k/dx) g_k / 2, and torch agrees with the
    symbols."""
    problem, form = problems.library[name], symbols(name)
    d, m = len(problem.y0), problem.channels
    correction = [
        sum(
            sp.diff(form.diffusion[i][k], x[j]) * form.diffusion[j][k]
            for k in range(m)
            for j in range(d)
        )
        / 2
        for i in range(d)
    ]
    wanted = {
        "ito": sp.lambdify((t, x[:d]), form.drift, "math"),
        "stratonovich": sp.lambdify(
            (t, x[:d]), [f - c for f, c in zip(form.drift, correction, strict=True)], "math"
        ),
    }
    noise = sp.lambdify((t, x[:d]), form.diffusion, "math")
    points = torch.rand(3, 5, d, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    points = 1.6 * points - 0.8  # inside (-1, 1), where every field is defined
    for time in (0.0, 0.7, torch.tensor(0.7, dtype=torch.float64)):
        silent = torch.zeros(3, 5, d, m, dtype=torch.float64)
        g = (
            silent
            if problem.diffusion is None
            else torch.as_tensor(problem.diffusion(time, points))
        )
        g = torch.diag_embed(g) if g.ndim == points.ndim else g
        g = g.expand(3, 5, d, m)
        for calculus, f in wanted.items():
            drift = torch.as_tensor(problem.drifts[calculus](time, points))
            for index in ((0, 0), (1, 3), (2, 4)):
                at = points[index].tolist()
                exact = torch.tensor(f(float(time), at), dtype=torch.float64)
                torch.testing.assert_close(drift[index], exact, rtol=1e-12, atol=1e-12)
                exact = torch.tensor(noise(float(time), at), dtype=torch.float64)
                torch.testing.assert_close(g[index], exact, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", SOLVED)
def test_the_torch_solution_is_the_symbolic_one(name: str) -> None:
    problem, form = problems.library[name], symbols(name)
    assert problem.solution is not None
    assert form.solution is not None
    m = problem.channels
    exact = sp.lambdify((t, W[:m], integral), form.solution, "math")
    generator = torch.Generator().manual_seed(2)
    w, i = torch.randn(2, 4, m, generator=generator, dtype=torch.float64)
    got = problem.solution(0.7, PathValues(w, i))
    for n in range(4):
        wanted = torch.tensor(exact(0.7, w[n].tolist(), float(i[n, 0])), dtype=torch.float64)
        torch.testing.assert_close(got[n], wanted, rtol=1e-12, atol=1e-12)


u, v = sp.Symbol("u", real=True), sp.Symbol("v", positive=True)
TRANSFORM = sp.exp(u**2 * v / 2)


def test_the_moment_generating_function_of_a_gaussian() -> None:
    y = sp.Symbol("y", real=True)
    density = sp.exp(-(y**2) / (2 * v)) / sp.sqrt(2 * sp.pi * v)
    integral_of = sp.integrate(sp.exp(u * y) * density, (y, -sp.oo, sp.oo))
    assert sp.simplify(integral_of - TRANSFORM) == 0


def gaussian_mean(expression: sp.Expr, variance: dict[sp.Symbol, sp.Expr]) -> sp.Expr:
    """E of polynomials times exponentials of independent centred Gaussians, symbolically.

    ``E y^n e^(a y)`` is the n-th derivative of the moment generating function at a.
    """
    for symbol, size in variance.items():
        total = sp.Integer(0)
        for term in sp.Add.make_args(sp.expand(expression, power_exp=False)):
            rest, power, rate = sp.Integer(1), 0, sp.Integer(0)
            for factor in sp.Mul.make_args(term):
                base, exponent = factor.as_base_exp()
                if base == sp.E or isinstance(factor, sp.exp):
                    slope = sp.diff(sp.expand(exponent), symbol)
                    assert not slope.has(symbol)
                    rate += slope
                    rest *= sp.exp(sp.expand(exponent - slope * symbol))
                elif base == symbol:
                    power += int(exponent)
                else:
                    assert not factor.has(symbol)
                    rest *= factor
            total += rest * sp.diff(TRANSFORM, u, power).subs({u: rate, v: size})
        expression = total
    return expression


def inside(value: sp.Expr) -> sp.Expr:
    """z from tanh(z), -tanh(-z) or sinh(z)."""
    sign, call = value.as_coeff_Mul()
    assert sign in (1, -1)
    assert len(call.args) == 1
    return sign * call.args[0]


# Functionals of solved problems, as symbols in t, W and I, where they are polynomial or exponential
# in them.
EXPANDED = {
    ("gbm", "mean"): lambda s: s[0],
    ("gbm", "second moment"): lambda s: sp.powsimp(sp.expand(s[0] ** 2)),
    ("gbm", "logarithm"): lambda s: sp.expand_log(sp.log(s[0]), force=True),
    ("bounded", "artanh"): lambda s: inside(s[0]),
    ("bounded", "artanh squared"): lambda s: inside(s[0]) ** 2,
    ("hyperbolic", "p(asinh)"): lambda s: (lambda z: z**3 - 6 * z**2 + 8 * z)(inside(s[0])),
    ("hyperbolic", "asinh"): lambda s: inside(s[0]),
    ("hyperbolic", "mean"): lambda s: s[0].rewrite(sp.exp),
    ("fading", "mean"): lambda s: s[0],
    ("orbit", "first"): lambda s: s[0],
    ("fading", "second moment"): lambda s: s[0] ** 2,
    ("growth", "mean"): lambda s: s[0],
    ("growth", "second moment"): lambda s: sp.powsimp(s[0] ** 2),
    ("diagonal", "squared norm"): lambda s: sum(sp.powsimp(v**2) for v in s),
    ("diagonal", "sum"): lambda s: sum(s),
    ("bounded plane", "sum of artanh squared"): lambda s: sum(inside(v) ** 2 for v in s),
    ("bounded plane", "product of artanh"): lambda s: inside(s[0]) * inside(s[1]),
}


@pytest.mark.parametrize(("name", "functional"), sorted(EXPANDED))
def test_expectations_follow_from_gaussian_integrals(name: str, functional: str) -> None:
    problem, form = problems.library[name], symbols(name)
    assert form.solution is not None
    variance = dict.fromkeys(W[: problem.channels], t) | {integral: t**3 / 3}
    value = EXPANDED[name, functional](form.solution)
    used = {v: size for v, size in variance.items() if value.has(v)}
    # W and its integral are correlated: a functional may use one of them, not both
    assert not (integral in used and len(used) > 1)
    mean = gaussian_mean(value, used)
    for time in (0.3, 1.0, 2.0):
        wanted = float(mean.subs(t, sp.Rational(str(time))).evalf(30))
        assert problem.functional(functional).exact(time) == pytest.approx(
            wanted, rel=1e-12, abs=1e-13
        )


def test_no_functional_of_a_solved_problem_is_left_unproved() -> None:
    linear = {name for name, p in problems.library.items() if p.linear is not None} - {"gbm"}
    named = {
        (name, f)
        for name in SOLVED
        if name not in linear
        for f in problems.library[name].functionals
    }
    assert named == set(EXPANDED)


def generator(form: Symbols, u: sp.Expr, d: int, m: int) -> sp.Expr:
    """The generator of the Ito SDE applied to a function u(x)."""
    g = form.diffusion
    value = sum(form.drift[i] * sp.diff(u, x[i]) for i in range(d))
    return value + sum(
        g[i][k] * g[j][k] * sp.diff(u, x[i], x[j])
        for i in range(d)
        for j in range(d)
        for k in range(m)
    ) / sp.Integer(2)


LINEAR = sorted(name for name, p in problems.library.items() if p.linear is not None)


@pytest.mark.parametrize("name", LINEAR)
def test_moments_of_linear_problems_satisfy_the_generator(name: str) -> None:
    """d/dt E u(X) = E (L u)(X) for every monomial of degree one and two, in time and at the
    start."""
    problem, form = problems.library[name], symbols(name)
    assert problem.linear is not None
    d, m = len(problem.y0), problem.channels
    start = torch.tensor(problem.y0, dtype=torch.float64)
    monomials = [*x[:d], *(x[i] * x[j] for i in range(d) for j in range(i, d))]

    def moment(u: sp.Expr, time: float) -> float:
        first = problem.linear.mean(start, time)
        second = problem.linear.second(start, time)
        total = 0.0
        for powers, c in sp.Poly(u, *x[:d]).terms():
            where = [i for i, p in enumerate(powers) for _ in range(p)]
            total += float(c) * float(first[where[0]] if len(where) == 1 else second[tuple(where)])
        return total

    eps = 1e-4
    for u in monomials:
        image = sp.expand(generator(form, u, d, m))
        assert moment(u, 0.0) == pytest.approx(
            float(u.subs(dict(zip(x, problem.y0, strict=False))))
        )
        for time in (0.2, 1.0):
            rate = (moment(u, time + eps) - moment(u, time - eps)) / (2 * eps)
            wanted = 0.0 if image == 0 else moment(image, time)
            assert rate == pytest.approx(wanted, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("name", LINEAR)
def test_functionals_of_linear_problems_are_their_moments(name: str) -> None:
    if name == "gbm":
        pytest.skip("its functionals are proved by Gaussian integrals")
    problem = problems.library[name]
    assert problem.linear is not None
    start = torch.tensor(problem.y0, dtype=torch.float64)
    root = torch.linalg.cholesky(problem.linear.second(start, 0.5) + 1e-12 * torch.eye(len(start)))
    first, second = problem.linear.mean(start, 0.5), root @ root.T
    spread = torch.linalg.cholesky(
        second - torch.outer(first, first) + 1e-9 * torch.eye(len(start))
    )
    # points whose average has exactly these moments: mean +- sqrt(d) times the columns of the root
    columns = math.sqrt(len(start)) * spread.T
    cloud = torch.cat((first + columns, first - columns))
    for item in problem.functionals.values():
        assert float(item.of(cloud).mean()) == pytest.approx(item.exact(0.5), abs=1e-7)


def test_the_pair_has_the_published_second_moment() -> None:
    squared = problems.pair().functional("moment 11")
    for time in (0.5, 1.0, 3.0):
        assert squared.exact(time) == pytest.approx(math.exp(-time), rel=1e-12)


def test_ornstein_uhlenbeck_moments_satisfy_the_generator() -> None:
    form = symbols("ornstein-uhlenbeck")
    problem = problems.ornstein_uhlenbeck()
    rate, level, sigma, start = (number(v) for v in (1.5, 0.5, 0.8, 2.0))
    mean = level + (start - level) * sp.exp(-rate * t)
    second = mean**2 + sigma**2 * (1 - sp.exp(-2 * rate * t)) / (2 * rate)
    moments = {x[0]: mean, x[0] ** 2: second}
    for u, value in moments.items():
        image = sp.expand(generator(form, u, 1, 1))
        expected = sum(c * (1, mean, second)[p[0]] for p, c in sp.Poly(image, x[0]).terms())
        assert sp.simplify(sp.diff(value, t) - expected) == 0
        name = "mean" if u == x[0] else "second moment"
        exact = problem.functional(name).exact(0.9)
        assert exact == pytest.approx(float(value.subs(t, number(0.9))), rel=1e-13)


def test_unicycle_moments_satisfy_the_generator() -> None:
    """The chain x^2 + y^2 -> x cos a + y sin a -> constants is closed under the generator."""
    form = symbols("unicycle")
    speed, slip, turn, angle = (number(v) for v in (1.0, 0.6, 0.9, 0.3))
    k = turn**2 / 2
    a = x[2]
    along = x[0] * sp.cos(a) + x[1] * sp.sin(a)
    reach = x[0] ** 2 + x[1] ** 2
    assert sp.simplify(generator(form, reach, 3, 2) - (2 * speed * along + slip**2)) == 0
    assert sp.simplify(generator(form, along, 3, 2) - (speed - k * along)) == 0
    assert sp.simplify(generator(form, x[0], 3, 2) - speed * sp.cos(a)) == 0
    assert sp.simplify(generator(form, sp.cos(a), 3, 2) + k * sp.cos(a)) == 0
    E_along = speed * (1 - sp.exp(-k * t)) / k
    E_reach = sp.integrate(
        (2 * speed * E_along + slip**2).subs(t, sp.Symbol("s")), (sp.Symbol("s"), 0, t)
    )
    E_x = speed * sp.cos(angle) * (1 - sp.exp(-k * t)) / k
    problem = problems.unicycle()
    for time in (0.4, 2.0):
        at = {t: number(time)}
        assert problem.functional("squared reach").exact(time) == pytest.approx(
            float(E_reach.subs(at))
        )
        assert problem.functional("mean x").exact(time) == pytest.approx(float(E_x.subs(at)))


def test_the_denoiser_is_a_martingale_drift_with_the_law_of_noisy_data() -> None:
    """L f = 0, and the density of t x0 + W(t) satisfies the Fokker-Planck equation with drift f."""
    (drift,), z = symbols("denoiser").drift, x[0]
    assert vanishes(sp.diff(drift, t) + drift * sp.diff(drift, z) + sp.diff(drift, z, 2) / 2)
    a, size = number(1.0), number(0.25)
    variance = t + t**2 * size**2
    density = sum(
        sp.exp(-((z - c * t * a) ** 2) / (2 * variance)) / sp.sqrt(variance) for c in (1, -1)
    )
    flow = sp.diff(density, z, 2) / 2 - sp.diff(drift * density, z)
    assert vanishes(sp.diff(density, t) - flow)
    # moments of t x0 + W: x0 = +-a + size xi, all odd moments vanish
    second, fourth = a**2 + size**2, a**4 + 6 * a**2 * size**2 + 3 * size**4
    problem = problems.denoiser()
    for time in (number(0.5), number(2.0)):
        exact = problem.functional("second moment").exact(float(time))
        assert exact == pytest.approx(float(time**2 * second + time))
        exact = problem.functional("fourth moment").exact(float(time))
        wanted = float(time**4 * fourth + 6 * time**3 * second + 3 * time**2)
        assert exact == pytest.approx(wanted)


def commutator(form: Symbols, d: int, k: int, r: int) -> list[sp.Expr]:
    """The bracket of the diffusion columns k and r."""
    g = form.diffusion
    return [
        sp.simplify(
            sum(
                g[j][k] * sp.diff(g[i][r], x[j]) - g[j][r] * sp.diff(g[i][k], x[j])
                for j in range(d)
            )
        )
        for i in range(d)
    ]


@pytest.mark.parametrize("name", sorted(problems.library))
def test_the_noise_class_is_the_true_one(name: str) -> None:
    problem, form = problems.library[name], symbols(name)
    d, m = len(problem.y0), problem.channels
    brackets = [commutator(form, d, k, r) for k in range(m) for r in range(k)]
    commute = all(all(vanishes(e) for e in bracket) for bracket in brackets)
    constant = all(not e.has(*x) for row in form.diffusion for e in row)
    cross = all(form.diffusion[i][k] == 0 for i in range(d) for k in range(m) if i != k)
    own = all(not form.diffusion[i][i].has(*(set(x) - {x[i]})) for i in range(min(d, m)))
    silent = all(e == 0 for row in form.diffusion for e in row)
    truth = {
        "none": silent,
        "additive": constant and not silent,
        "scalar": m == 1 and not constant,
        "diagonal": d == m and cross and own and not constant,
        "commutative": commute and m > 1 and not cross and not constant,
        "general": not commute,
    }
    assert truth[problem.noise]


def test_every_noise_class_is_in_the_library() -> None:
    assert {p.noise for p in problems.library.values()} == {
        "additive",
        "scalar",
        "diagonal",
        "commutative",
        "general",
        "none",
    }
    assert any(p.noise == "general" and p.channels >= 3 for p in problems.library.values())


def test_wrong_use_of_the_library_is_refused() -> None:
    with pytest.raises(ValueError, match="no calculus 'backward'"):
        problems.gbm().sde("backward")
    with pytest.raises(ValueError, match="no functional 'median'"):
        problems.gbm().functional("median")
    with pytest.raises(ValueError, match="no functional with a known expectation"):
        problems.swirl().functional()
    with pytest.raises(ValueError, match="do not commute"):
        problems.linear(
            ((0, 0), (0, 0)), (((0, 1), (0, 0)), ((0, 0), (1, 0))), (1, 1), noise="commutative"
        )
    with pytest.raises(ValueError, match=r"B\[0\] must be 2 x 2"):
        problems.linear(((0, 0), (0, 0)), (((0, 1, 2), (0, 0, 1)),), (1, 1))
    with pytest.raises(ValueError, match="one channel"):
        problems.linear(((0,),), (((1,),), ((2,),)), (1,), noise="scalar")
    with pytest.raises(ValueError, match="equal lengths"):
        problems.diagonal(mu=(1.0,))
    with pytest.raises(AttributeError):
        problems.gbm().noise = "scalar"  # type: ignore[misc]


def test_the_library_is_keyed_by_name_and_read_only() -> None:
    assert all(name == p.name and p.citation for name, p in problems.library.items())
    with pytest.raises(TypeError):
        problems.library["gbm"] = SimpleNamespace()  # type: ignore[index]
