"""An order is asserted twice: proved in exact arithmetic, and measured by running the method."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from sdeint.convergence import Study
from sdeint.errors import NonFiniteError, ProblemError
from sdeint.solving import resolve_method
from sdeint.testing.measuring import SURE, Measurement, strong_measurements, weak_measurements
from tableaux import NOISE_CLASSES, OrderReport, Tableau, order
from tableaux.errors import unknown
from tableaux.findings import Failure, Verdict
from tableaux.tableau import ADDITIVE_CLASSES

__all__ = ["Evidence", "assert_order"]

Order = Fraction | int | str | float

#: Factors on the number of paths: a study that cannot tell half orders apart gets more of them.
LOOKS = (1, 4, 16)
#: Half the distance between two orders; how far a noise-free slope may be off at finite h.
SLACK = 0.25

FAILURES = {"strong": ("mean square", "mean"), "weak": ("weak",)}


@dataclass(frozen=True)
class Evidence:
    """What an asserted order rests on; `str` shows it.

    Attributes
    ----------
    report : OrderReport
        The proof, no further than asked.
    studies : tuple of Study
        The measurements.
    """

    report: OrderReport
    studies: tuple[Study, ...]

    def __str__(self) -> str:
        return "\n\n".join([str(self.report), *map(str, self.studies)])


def assert_order(
    tableau: Tableau | str,
    *,
    strong: Order | None = None,
    weak: Order | None = None,
    noise: str | None = None,
    seed: int = 0,
) -> Evidence:
    """Assert that a tableau has an order at least, by proof and by measurement.

    The proof is `tableaux.order`. The measurement runs the method: strong orders on coupled Brownian
    paths, weak ones without sampling wherever the outcomes of a step can be enumerated.

    Parameters
    ----------
    tableau : Tableau or str
        A tableau, or a name of the catalogue.
    strong, weak : Fraction, int, str or float, optional
        Multiples of 1/2, such as 1.5 or ``"3/2"``. Without either, the orders that the tableau
        claims for this noise.
    noise : str, optional
        The class of problems: ``"additive"``, ``"scalar"``, ``"diagonal"``, ``"commutative"``,
        ``"general"``; or, within additive noise, ``"constant"`` (no explicit time) or
        ``"martingale"``. The tableau's own class if not given.
    seed : int
        Of the sampled paths.

    Returns
    -------
    Evidence
        The proof and the studies.

    Raises
    ------
    AssertionError
        If the proof does not give an order (with the first condition that fails), or a measurement
        contradicts it or cannot decide (with its table).
    ProblemError
        If there is nothing to assert, or nothing that could be measured.

    Notes
    -----
    *False alarms.* A sampled study fails the assertion only where the whole confidence interval of
    its order, at level 1 - 1e-8, lies below the claim; there are at most two problems with three
    looks each for either kind of order, so a method that has the order fails by chance with
    probability below 2e-7. The level holds as far as the intervals do: see `sdeint.convergence`.
    Studies without sampling fail where the extrapolated slope is more than 1/4 below the claim;
    no chance is involved. With the same seed the result is always the same.

    *Power.* A strong study passes only if its interval also excludes the next lower order, the
    claim minus 1/2; a sampled weak study if it excludes the claim minus 1. One that can do neither
    is repeated with 4 and 16 times the paths, and then fails as undecided.

    Examples
    --------
    >>> evidence = assert_order("EM", weak=1)
    >>> print(evidence.studies[0].verdict)
    order 1.000, limits [1.000, 1.000] (extrapolated to h = 0)
    """
    method = resolve_method(tableau)
    name = method.noise if noise is None else noise
    _check_noise(method, name)
    claims = _claims(method, name, strong, weak)
    report = _prove(method, name, claims)
    verdict = next(iter(report.by_noise.values()))
    for kind, claim in claims.items():
        _judge_proof(method, name, kind, claim, verdict)
    studies = [
        _measured(method, name, kind, claim, measurement)
        for kind, claim in claims.items()
        for measurement in _measurements(method, name, kind, seed)
    ]
    return Evidence(report, tuple(studies))


def _check_noise(tableau: Tableau, noise: str) -> None:
    classes = (*NOISE_CLASSES, *ADDITIVE_CLASSES)
    if noise not in classes:
        raise ProblemError(unknown("noise class", noise, classes))
    wide = "additive" if noise in ADDITIVE_CLASSES else noise
    if not tableau.accepts(wide):
        raise ProblemError(
            f"tableau {tableau.name!r} is meant for {tableau.noise} noise, and no order can be "
            f"asserted for {noise} noise"
        )


def _claims(
    tableau: Tableau, noise: str, strong: Order | None, weak: Order | None
) -> dict[str, Fraction]:
    given = {"strong": strong, "weak": weak}
    if strong is None and weak is None:
        given = dict(zip(given, tableau.claimed(noise)))
    claims = {kind: Fraction(value) for kind, value in given.items() if value is not None}
    if not claims:
        raise ProblemError(
            f"tableau {tableau.name!r} claims no order for {noise} noise: give strong=... or "
            "weak=..."
        )
    for kind, claim in claims.items():
        if claim <= 0 or (2 * claim).denominator != 1:
            raise ProblemError(f"{kind} must be a positive multiple of 1/2, got {claim}")
    return claims


# --- proof ---------------------------------------------------------------------------------------


def _prove(tableau: Tableau, noise: str, claims: dict[str, Fraction]) -> OrderReport:
    """The verdict, searched no further than to the claims."""
    highest = dict.fromkeys(FAILURES, Fraction(0)) | claims
    if not has_noise(tableau) or noise == "none":
        # Both orders of a method without noise are that of the ordinary equation.
        highest = dict.fromkeys(FAILURES, max(claims.values()))
    return order(
        tableau,
        noise="additive" if noise == "constant" else noise,
        max_strong=highest["strong"],
        max_weak=highest["weak"],
        max_deterministic=ceil(highest["weak"]) if noise == "none" else 1,
        autonomous=noise == "constant",
    )


def has_noise(tableau: Tableau) -> bool:
    """Whether any stage evaluates the diffusion."""
    return any(block.colour == "diffusion" for block in tableau.blocks)


def _judge_proof(
    tableau: Tableau, noise: str, kind: str, claim: Fraction, verdict: Verdict
) -> None:
    reached = verdict.strong if kind == "strong" else verdict.weak
    if reached is not None and reached >= claim:
        return
    lines = [_headline(tableau, noise, kind, claim)]
    if reached is None:
        lines.append(f"Proof: {verdict.note}.")
    else:
        lines.append(f"Proof: its {kind} order is {reached}.")
        first = _first(verdict.failing, kind)
        if first is not None:
            lines.append(f"The first condition that fails ({first.kind}): {first}")
    raise AssertionError("\n".join(lines))


def _first(failing: Sequence[Failure], kind: str) -> Failure | None:
    kinds = (*FAILURES[kind], "deterministic")
    return next((failure for failure in failing if failure.kind in kinds), None)


def _headline(tableau: Tableau, noise: str, kind: str, claim: Fraction) -> str:
    return f"{tableau.name!r} does not have {kind} order {claim} for {noise} noise."


# --- measurement ---------------------------------------------------------------------------------


def _measurements(tableau: Tableau, noise: str, kind: str, seed: int) -> Iterator[Measurement]:
    choose = strong_measurements if kind == "strong" else weak_measurements
    yield from choose(tableau, noise, seed)


def _measured(
    tableau: Tableau, noise: str, kind: str, claim: Fraction, measurement: Measurement
) -> Study:
    """The study that bears the claim out, with more paths if need be."""
    for factor in LOOKS[:1] if measurement.exact else LOOKS:
        try:
            study = measurement.run(factor)
        except NonFiniteError as error:
            headline = _headline(tableau, noise, kind, claim)
            raise AssertionError(f"{headline}\nMeasurement: {error}") from error
        result = judge(study, claim, exact=measurement.exact)
        if result == "reached":
            return study
        if result == "contradicted":
            break
    if result == "undecided":
        reason = "this study can neither confirm nor refute it, with the most paths that are tried"
    elif measurement.exact:
        reason = f"the order seen without sampling is more than {SLACK} below, although proved"
    else:
        reason = (
            "the whole interval of the order seen lies below, although it is proved "
            f"(false-alarm probability {1 - SURE:.0e} a study)"
        )
    raise AssertionError(
        f"{_headline(tableau, noise, kind, claim)}\nMeasurement: {reason}.\n{study}"
    )


def judge(study: Study, claim: Fraction, *, exact: bool) -> str:
    """Whether a study bears out an order: "reached", "contradicted" or "undecided".

    Parameters
    ----------
    study : Study
    claim : Fraction
    exact : bool
        Whether nothing in it is random, so that its slope is judged and not its interval.
    """
    if study.flags and all(flag == "rounding" for flag in study.flags):
        return "reached"  # no error is left at any step size
    if study.order is None or study.order_interval is None:
        return "undecided"
    if exact:
        return "reached" if study.order >= claim - SLACK else "contradicted"
    low, high = study.order_interval
    if high < claim:
        return "contradicted"
    apart = 0.5 if study.kind == "strong" else 1.0
    return "reached" if low > claim - apart else "undecided"
