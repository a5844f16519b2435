r"""Chebyshev methods with a number of stages as parameter: mildly stiff problems.

Their drift stages follow the three-term recurrence of a Chebyshev polynomial, shifted and scaled so
that the stability function of the drift stays bounded on a real interval that grows with the square
of the number of stages s.  As tableaux the recurrences are unrolled: each stage is a combination of
the drift values before it, with exact rational entries for every s.

"SROCK1", "SROCKEM", "SROCKMil", "SKSROCK", "StrangRKC2" and the noise-free "RKC1" and "RKC2" take any s and any
damping eta, ``catalogue["SKSROCK(20, 1/10)"]``.  "SROCK2" rests on polynomials without closed form
and takes those s whose decimals are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import sympy

from tableaux.blocks import Block, Coupling, Output
from tableaux.errors import TableauError
from tableaux.families.entries import method
from tableaux.families.rock2_decimals import ROCK2
from tableaux.tableau import Tableau

Row = list[Fraction]
#: Of each stage i = 1..s: (mu, nu, kappa) in ``K_i = ... + nu K_(i-1) + kappa K_(i-2)``, the value
#: ``mu h f(K_(i-1))`` being added.
Recurrence = list[tuple[Fraction, Fraction, Fraction]]

ZERO, ONE, TWO, HALF = Fraction(0), Fraction(1), Fraction(2), Fraction(1, 2)

_ABDULLE_CIRILLI = "Abdulle and Cirilli, SIAM J. Sci. Comput. 30 (2008) 997-1014"
_RKC = "Verwer, Hundsdorfer and Sommeijer, Numer. Math. 57 (1990) 157-178"


# --- Chebyshev polynomials and their recurrences --------------------------------------------------


def chebyshev(count: int, at: Fraction) -> tuple[Row, Row, Row]:
    """``T_0..T_count`` at a point, and their first and second derivatives there."""
    values, firsts, seconds = [ONE, at], [ZERO, ONE], [ZERO, ZERO]
    for _ in range(2, count + 1):
        seconds.append(4 * firsts[-1] + 2 * at * seconds[-1] - seconds[-2])
        firsts.append(2 * values[-1] + 2 * at * firsts[-1] - firsts[-2])
        values.append(2 * at * values[-1] - values[-2])
    return values, firsts, seconds


def first_order(stages: int, damping: Fraction) -> tuple[Fraction, Recurrence]:
    """``omega_1`` and the recurrence of ``T_s(omega_0 + omega_1 z)/T_s(omega_0)``, order 1."""
    omega0 = 1 + damping / stages**2
    values, firsts, _ = chebyshev(stages, omega0)
    omega1 = values[stages] / firsts[stages]
    recurrence = [(omega1 / omega0, ONE, ZERO)]
    for i in range(2, stages + 1):
        ratio = 2 * values[i - 1] / values[i]
        recurrence.append((omega1 * ratio, omega0 * ratio, -values[i - 2] / values[i]))
    return omega1, recurrence


def propagated(recurrence: Recurrence, sources: Sequence[Sequence[Fraction]]) -> list[Row]:
    """What sums up in ``K_0 = 0, K_i = source_i + nu_i K_(i-1) + kappa_i K_(i-2)``; ``K_0..K_s``."""
    rows = [[ZERO] * len(sources[0])]
    for i, ((_, nu, kappa), source) in enumerate(zip(recurrence, sources)):
        before = rows[i - 1] if i else rows[0]
        rows.append([a + nu * b + kappa * c for a, b, c in zip(source, rows[i], before)])
    return rows


def drift_rows(recurrence: Recurrence) -> list[Row]:
    """The weights of ``h f(K_0), h f(K_1), ...`` in each ``K_0..K_s``."""
    count = len(recurrence)
    return propagated(recurrence, [_unit(i, count, mu) for i, (mu, _, _) in enumerate(recurrence)])


def second_order(stages: int, damping: Fraction) -> list[Row]:
    """The weights of ``h f(K_j)`` in each stage ``K_0..K_s`` of RKC2."""
    omega0 = 1 + damping / stages**2
    values, firsts, seconds = chebyshev(stages, omega0)
    omega1 = firsts[stages] / seconds[stages]
    b = [seconds[max(j, 2)] / firsts[max(j, 2)] ** 2 for j in range(stages + 1)]
    recurrence = [(b[1] * omega1, ONE, ZERO)]
    sources = [_unit(0, stages, b[1] * omega1)]
    for j in range(2, stages + 1):
        mu = 2 * b[j] * omega1 / b[j - 1]
        recurrence.append((mu, 2 * b[j] * omega0 / b[j - 1], -b[j] / b[j - 2]))
        source = _unit(j - 1, stages, mu)
        source[0] -= (1 - b[j - 1] * values[j - 1]) * mu
        sources.append(source)
    return propagated(recurrence, sources)


# --- order 1 --------------------------------------------------------------------------------------


@method("RKC1")
def rkc1(name: str, stages: int = 5, damping: Fraction = Fraction(1, 20)) -> Tableau:
    """Order 1, no noise: real stability interval of nearly 2 s^2."""
    stages, eta = _checked(stages, 1), _rational(damping)
    rows = drift_rows(first_order(stages, eta)[1])
    return Tableau.rk(
        name,
        A=rows[:-1],
        b=rows[-1],
        orders={"none": (1, 1)},
        citation=_RKC,
        advice="Without noise, stiff and dissipative, low accuracy.",
    )


#: Damping that makes the region of mean-square stability large, from so many stages on.
DAMPINGS = {
    2: "2.2",
    5: "12",
    7: "13",
    10: "14.3",
    25: "20.3",
    50: "27.2",
    75: "32.1",
    100: "36",
    150: "42.1",
    200: "46.7",
}


def _damping(stages: int, given: Any) -> Fraction:
    """The damping asked for, or by default that of the paper for the number of stages."""
    if given is not None:
        return _rational(given)
    return Fraction(DAMPINGS[max(least for least in DAMPINGS if least <= stages)])


@method("SROCK1")
def srock1(name: str, stages: int = 5, damping: Fraction | None = None) -> Tableau:
    """S-ROCK: noise in the last two stages, as in Heun's rule; Stratonovich.

    ``K_(s-1)`` receives ``alpha g(K_(s-2)) W`` and ``K_s``, the new value, ``(gamma g(K_(s-1)) -
    gamma g(K_(s-2))) W``, with ``alpha = 1/(2 gamma) = T_s/(2 omega_0 T_(s-1))``.  The damping is by
    default the one that is best for mean-square stability.
    """
    stages = _checked(stages, 2)
    _, recurrence = first_order(stages, _damping(stages, damping))
    rows = drift_rows(recurrence)
    gamma = recurrence[-1][1] / 2
    alpha = 1 / (2 * gamma)
    noise = [[ZERO, ZERO] for _ in range(stages)]
    noise[-1][0] = alpha
    return Tableau(
        name,
        (
            Block("drift", "drift", _sums(rows[:-1])),
            Block("diffusion", "diffusion", _sums(rows[-3:-1])),
        ),
        (
            Coupling("drift", "drift", "h", _matrix(rows[:-1])),
            Coupling("drift", "diffusion", "I_k", _matrix(noise)),
            Coupling("diffusion", "drift", "h", _matrix(rows[-3:-1])),
            Coupling("diffusion", "diffusion", "I_k", _matrix([[ZERO, ZERO], [alpha, ZERO]])),
        ),
        (
            Output("drift", "h", _vector(rows[-1])),
            Output("diffusion", "I_k", _vector([1 - gamma, gamma])),
        ),
        calculus="stratonovich",
        orders={"general": ("1/2", 1), "commutative": (1, 1)},
        citation=_ABDULLE_CIRILLI,
        advice="Stiff Stratonovich problems; as many stages as h times the stiffness asks for.",
    )


@method("SROCKEM")
def srock_em(name: str, stages: int = 5, damping: Fraction | None = None) -> Tableau:
    """S-ROCK for Ito: a Chebyshev step for the drift, then ``X+ = K_s + g(K_s) W``."""
    stages = _checked(stages, 1)
    _, recurrence = first_order(stages, _damping(max(stages, 2), damping))
    rows = drift_rows(recurrence)
    return Tableau(
        name,
        (
            Block("drift", "drift", _sums(rows[:-1])),
            Block("diffusion", "diffusion", _sums(rows[-1:])),
        ),
        (
            Coupling("drift", "drift", "h", _matrix(rows[:-1])),
            Coupling("diffusion", "drift", "h", _matrix(rows[-1:])),
        ),
        (Output("drift", "h", _vector(rows[-1])), Output("diffusion", "I_k", (1,))),
        orders={"general": ("1/2", 1), "additive": (1, 1)},
        citation="Abdulle and Li, Commun. Math. Sci. 6 (2008) 845-868",
        advice="Stiff Ito problems; SKSROCK is stable with fewer stages.",
    )


@method("SROCKMil")
def srock_milstein(name: str, stages: int = 5, damping: Fraction | None = None) -> Tableau:
    """SROCKEM with the Milstein term of diagonal noise, by a central difference at K_s; Ito.

    ``X+ = K_s + g_k(K_s) W_k + (g_k(K_s + g_k(K_s) I_kk/sqrt(h)) - g_k(K_s - ...)) sqrt(h)/2``.
    """
    stages = _checked(stages, 1)
    _, recurrence = first_order(stages, _damping(max(stages, 2), damping))
    rows = drift_rows(recurrence)
    end = rows[-1]
    return Tableau(
        name,
        (
            Block("drift", "drift", _sums(rows[:-1])),
            Block("own", "diffusion", _sums([end] * 3), "channel"),
        ),
        (
            Coupling("drift", "drift", "h", _matrix(rows[:-1])),
            Coupling("own", "drift", "h", _matrix([end] * 3)),
            Coupling("own", "own", "I_kk/sqrt(h)", ((0, 0, 0), (1, 0, 0), (-1, 0, 0)), "own"),
        ),
        (
            Output("drift", "h", _vector(end)),
            Output("own", "I_k", (1, 0, 0)),
            Output("own", "sqrt(h)", (0, "1/2", "-1/2")),
        ),
        noise="diagonal",
        orders={"diagonal": (1, 1)},
        citation="Abdulle and Li, Commun. Math. Sci. 6 (2008) 845-868",
        advice="Stiff Ito problems with diagonal noise, path by path.",
    )


@method("SKSROCK")
def sk_srock(name: str, stages: int = 5, damping: Fraction = Fraction(1, 20)) -> Tableau:
    """Noise in the first stage only, where Chebyshev polynomials of the second kind damp it; Ito.

    ``K_1 = X + mu_1 h f(X + nu_1 Q) + kappa_1 Q`` with ``Q = g(X) W``, ``mu_1 = omega_1/omega_0``,
    ``nu_1 = s omega_1/2``, ``kappa_1 = s omega_1/omega_0``; then the recurrence, ``X+ = K_s``.
    """
    stages, eta = _checked(stages, 1), _rational(damping)
    omega1, recurrence = first_order(stages, eta)
    rows = drift_rows(recurrence)
    share = stages * omega1 / (1 + eta / stages**2)
    noise = propagated(recurrence, [[share], *[[ZERO]] * (stages - 1)])
    drift_noise = [[stages * omega1 / 2], *noise[1:-1]]
    return Tableau(
        name,
        (Block("drift", "drift", _sums(rows[:-1])), Block("diffusion", "diffusion", (0,))),
        (
            Coupling("drift", "drift", "h", _matrix(rows[:-1])),
            Coupling("drift", "diffusion", "I_k", _matrix(drift_noise)),
        ),
        (Output("drift", "h", _vector(rows[-1])), Output("diffusion", "I_k", _vector(noise[-1]))),
        orders={"general": ("1/2", 1), "additive": (1, 1)},
        citation="Abdulle, Almuslimani and Vilmart, SIAM/ASA J. Uncertain. Quantif. 6 (2018) 937-964",
        advice="Stiff Ito problems: mean-square stable on nearly 2 s^2, at one g a step.",
    )


# --- order 2 --------------------------------------------------------------------------------------


@method("RKC2")
def rkc2(name: str, stages: int = 5, damping: Fraction = Fraction(2, 13)) -> Tableau:
    """Order 2, no noise: real stability interval of about 0.65 s^2."""
    rows = second_order(_checked(stages, 2), _rational(damping))
    return Tableau.rk(
        name,
        A=rows[:-1],
        b=rows[-1],
        orders={"none": (2, 2)},
        citation=_RKC,
        advice="Without noise, stiff and dissipative.",
    )


@method("SROCK2")
def srock2(name: str, stages: int = 5) -> Tableau:
    """ROCK2 for the drift and, in its last stages, noise of weak order 2; Ito.

    ``K_0..K_s`` follow the recurrence with the step ``alpha h``; then ``K* = K_(s-2) + 2 tau h
    f(K_(s-2)) + g(K_s) W`` and ``X+ = K_(s-2) + (2 sigma - 1/2) h f(K_(s-2)) + h/2 f(K*)
    + g(K_(s-1)) W + sum_k (g_k(K_s + sum_l g_l(K_s) I^_lk) - g_k(K_s - ...))/2
    + sum_k (g_k(K_s + sum_l g_l(K_s) chi_l sqrt(h)) - 2 g_k(K_s) + g_k(K_s - ...)) W_k/4``.

    The recurrence is tabulated in decimals.  Order 2 asks for three numbers more: sigma and tau,
    which are solved for exactly as they are printed, and ``mu_(s-1)``, which is not taken from the
    table but solved for, so that ``c_(s-1) = 1/2``.  The signs in ``I^_lk`` are those that are right
    for every number of channels, not one sign a channel.
    """
    if stages not in ROCK2:
        known = ", ".join(map(str, ROCK2))
        raise TableauError(f"the decimals of SROCK2 are kept for {known} stages, not {stages}")
    table = ROCK2[stages]
    alpha = Fraction(table.scale)
    first, *others = table.recurrence
    mu = [alpha * Fraction(text) for text in (first, *others[::2])]
    kappa = [ZERO, *map(Fraction, others[1::2])]
    # With mu_(s-1) = 0 at first, to find the value that moves the node of K_(s-1) to 1/2.
    mu += [ZERO, alpha * Fraction(table.last[1])]
    kappa += [Fraction(table.last[0]), Fraction(table.last[2])]
    steps = [(m, 1 + k, -k) for m, k in zip(mu, kappa)]
    missing = HALF - sum(drift_rows(steps)[stages - 1])
    steps[stages - 2] = (missing, *steps[stages - 2][1:])
    rows = drift_rows(steps)
    nodes = [sum(row, ZERO) for row in rows]
    # sigma and tau: the sums of the weights, and of weights times nodes, are 1 and 1/2.
    base = rows[stages - 2]
    two_sigma = 1 - nodes[stages - 2]
    tau = HALF - _dot(base, nodes) - two_sigma * nodes[stages - 2]
    # The drift block has the stages K_0..K_(s-1) and K*; no row reaches further than its own stages.
    width = stages + 1
    star = _added(base, _unit(stages - 2, stages, 2 * tau))
    final = [*_added(base, _unit(stages - 2, stages, two_sigma - HALF)), HALF]
    drift = [*(_widened(row, width) for row in rows[:stages]), _widened(star, width)]
    ends = [_widened(rows[i], width) for i in (stages - 1, stages, stages, stages)]
    return Tableau(
        name,
        (
            Block("drift", "drift", _sums(drift)),
            Block("noise", "diffusion", _sums(ends)),
            Block("mixed", "diffusion", _sums(ends[1:3]), "channel"),
        ),
        (
            Coupling("drift", "drift", "h", _matrix(drift)),
            Coupling("drift", "noise", "theta_k", (*((0, 0, 0, 0),) * stages, (0, 1, 0, 0))),
            Coupling("noise", "drift", "h", _matrix(ends)),
            Coupling(
                "noise",
                "noise",
                "sign_k*sqrt(h)",
                ((0, 0, 0, 0), (0, 0, 0, 0), (0, 1, 0, 0), (0, -1, 0, 0)),
            ),
            Coupling("mixed", "drift", "h", _matrix(ends[1:3])),
            Coupling("mixed", "noise", "I^_kl", ((0, 1, 0, 0), (0, -1, 0, 0))),
        ),
        (
            Output("drift", "h", _vector(final)),
            Output("noise", "theta_k", (1, "-1/2", "1/4", "1/4")),
            Output("mixed", "1", ("1/2", "-1/2")),
        ),
        orders={"general": (None, 2)},
        citation="Abdulle, Vilmart and Zygalakis, SIAM J. Sci. Comput. 35 (2013) A1792-A1814",
        advice="Stiff Ito problems, moments to order 2.",
    )


@method("StrangRKC2")
def strang_rkc2(name: str, stages: int = 5, damping: Fraction | None = None) -> Tableau:
    """Half a step of RKC2, the noise part of RI6, half a step of RKC2; Ito, weak order 2.

    Strang splitting of two parts of weak order 2 each: ours, for want of a method of this order with
    exact coefficients for every number of stages; `stages` counts those of one half.  Undamped, RKC2
    does not shrink large noise enough to stay mean-square stable; the default damping ``8 s`` does,
    on an interval that grows more slowly than ``s^2`` (15 for s = 5, 34 for s = 10).
    """
    stages = _checked(stages, 2)
    eta = Fraction(8 * stages) if damping is None else _rational(damping)
    half = [[weight / 2 for weight in row] for row in second_order(stages, eta)]
    width = 2 * stages
    middle = _widened(half[-1], width)
    second = [_added(middle, [ZERO] * stages + row) for row in half]
    drift = [*(_widened(row, width) for row in half[:-1]), *second[:-1]]
    centre = _matrix([middle] * 3)
    one, none = (1, 0, 0), (0, 0, 0)
    # Each part of the noise: source, label, weights.
    parts = (
        ("own", "theta_k", ("1/2", "1/4", "1/4")),
        ("own", "theta_kk/sqrt(h)", (0, "1/2", "-1/2")),
        ("mixed", "theta_k", ("-1/2", "1/4", "1/4")),
        ("mixed", "sqrt(h)", (0, "1/2", "-1/2")),
    )
    return Tableau(
        name,
        (
            Block("drift", "drift", _sums(drift)),
            Block("own", "diffusion", ("1/2",) * 3, "channel"),
            Block("mixed", "diffusion", ("1/2",) * 3, "channel"),
        ),
        (
            Coupling("drift", "drift", "h", _matrix(drift)),
            Coupling("own", "drift", "h", centre),
            Coupling("mixed", "drift", "h", centre),
            Coupling("own", "own", "sqrt(h)", (none, one, (-1, 0, 0)), "own"),
            Coupling("mixed", "own", "I^_kl/sqrt(h)", (none, one, (-1, 0, 0)), "other"),
            *(
                Coupling("drift", source, label, (none,) * stages + (weights,) * stages)
                for source, label, weights in parts
            ),
        ),
        (
            Output("drift", "h", _vector(second[-1])),
            *(Output(source, label, weights) for source, label, weights in parts),
        ),
        orders={"general": (None, 2)},
        citation=f"{_RKC}; Roessler, SIAM J. Numer. Anal. 47 (2009) 1713-1738; composition ours",
        advice="Where SROCK2 has no decimals for the number of stages; otherwise SROCK2.",
    )


# --- small change ---------------------------------------------------------------------------------


def _checked(stages: int, least: int) -> int:
    if stages < least:
        raise TableauError(f"at least {least} stages are needed, not {stages}")
    return stages


def _rational(damping: Any) -> Fraction:
    """The damping as a Fraction: then so are all entries."""
    number = sympy.sympify(damping)
    if not number.is_Rational or number < 0:
        raise TableauError(f"the damping is a rational number, not negative; {damping} is not")
    return Fraction(int(number.p), int(number.q))


def _unit(place: int, count: int, value: Fraction) -> Row:
    return [value if i == place else ZERO for i in range(count)]


def _widened(row: Row, width: int) -> Row:
    return [*row, *[ZERO] * (width - len(row))]


def _added(left: Row, right: Row) -> Row:
    return [a + b for a, b in zip(left, right)]


def _dot(left: Row, right: Row) -> Fraction:
    return sum((a * b for a, b in zip(left, right)), ZERO)


def _vector(row: Row) -> tuple[sympy.Rational, ...]:
    return tuple(sympy.Rational(value.numerator, value.denominator) for value in row)


def _matrix(rows: Sequence[Row]) -> tuple[tuple[sympy.Rational, ...], ...]:
    return tuple(map(_vector, rows))


def _sums(rows: Sequence[Row]) -> tuple[sympy.Rational, ...]:
    """The nodes: with no explicit time, a stage's time is the sum of its drift weights."""
    return _vector([sum(row, ZERO) for row in rows])
