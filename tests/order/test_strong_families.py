"""What the strong families depend on: each fact beside the defect that it excludes.

The studies use intervals at confidence 1 - 1e-8: a correct library fails one by chance with probability
below 1e-6.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
import sympy
import torch

from sdeint import SDE, convergence, problems
from tableaux import Block, Coupling, Output, Tableau, catalogue, order
from tableaux.design import principal_norm
from tableaux.families.commutative import forward_milstein
from tableaux.prover import Prover

from .variants import TRANSPOSED

HALF = Fraction(1, 2)
SURE = 1 - 1e-8


def strong(tableau: Tableau, noise: str | None = None) -> Fraction | None:
    return order(tableau, noise=noise or tableau.noise).strong


def relabelled(tableau: Tableau, table: dict[str, str]) -> Tableau:
    return replace(
        tableau,
        name=f"{tableau.name}, relabelled",
        couplings=tuple(replace(c, label=table.get(c.label, c.label)) for c in tableau.couplings),
        outputs=tuple(replace(o, label=table.get(o.label, o.label)) for o in tableau.outputs),
    )


# ---------------------------------------------------------------------- differences and their bias


def test_the_forward_difference_of_the_general_milstein_method_is_for_ito_integrals_only() -> None:
    """Kloeden and Platen, section 11.1, and SciML's RKMilGeneral and RKMilCommute print both forms."""
    printed = forward_milstein(
        "printed", "J_kk/sqrt(h)", "J_kl/sqrt(h)", noise="general", calculus="stratonovich"
    )
    for noise in ("general", "commutative", "scalar"):
        report = order(printed, noise=noise)
        assert (report.strong, report.weak) == (HALF, HALF)
    assert {str(failure.forest[0]) for failure in report.failing} == {"[1, 1]_1", "[0]_1"}
    assert strong(catalogue["RKMilGeneral"]) == 1
    assert strong(catalogue["SRS1"]) == strong(catalogue["MilsteinGeneralStratonovich"]) == 1


def test_one_difference_a_channel_needs_a_step_of_the_size_of_the_correction() -> None:
    """With a step of size sqrt(h) the bias is of order 3/2, and the strong order 1/2."""
    short = catalogue["MilsteinCommutative"]
    long = replace(
        relabelled(short, {"I_(kl)": "I_(kl)/sqrt(h)", "1": "sqrt(h)"}), name="a long step"
    )
    assert (strong(long, "scalar"), strong(short, "scalar")) == (HALF, 1)
    failing = order(long, noise="scalar").failing[0]
    assert (failing.kind, str(failing.forest[0])) == ("mean", "[1, 1]_1")


@pytest.mark.parametrize("name", ["WangLiA", "WangLiF"])
def test_the_two_forward_differences_of_a_split_step_repair_each_other(name: str) -> None:
    def central(block: str, tableau: Tableau) -> Tableau:
        """The difference of one of the two maps, at X +- g sqrt(h) in place of X and X + g sqrt(h)."""

        def rows(matrix: tuple[tuple[sympy.Expr, ...], ...]) -> tuple[tuple[sympy.Expr, ...], ...]:
            return (*matrix, matrix[0])

        def widened(weights: tuple[sympy.Expr, ...]) -> tuple[sympy.Expr, ...]:
            base, far = weights
            return (base + far, far / 2, -far / 2)

        couplings = []
        for c in tableau.couplings:
            if (c.source, c.target) == (block, block):
                couplings.append(replace(c, matrix=((0, 0, 0), (1, 0, 0), (-1, 0, 0))))
            elif c.target == block:
                couplings.append(replace(c, matrix=rows(c.matrix)))
            elif c.source == block:
                couplings.append(replace(c, matrix=tuple(widened(row) for row in c.matrix)))
            else:
                couplings.append(c)
        return replace(
            tableau,
            name=f"{tableau.name}, {block} central",
            blocks=tuple(
                replace(b, nodes=(*b.nodes, b.nodes[0])) if b.name == block else b
                for b in tableau.blocks
            ),
            couplings=tuple(couplings),
            outputs=tuple(
                replace(o, weights=widened(o.weights)) if o.source == block else o
                for o in tableau.outputs
            ),
        )

    printed = catalogue[name]
    assert strong(printed) == 1
    assert strong(central("noise", printed)) == HALF
    assert strong(central("correction", printed)) == HALF
    assert strong(central("noise", central("correction", printed))) == 1


# ---------------------------------------------------------------------- general noise


@pytest.mark.parametrize("name", ["SRI1", "SRI2"])
def test_a_transposed_area_is_seen_by_general_noise_only(name: str) -> None:
    right = catalogue[name]
    wrong = relabelled(right, {"I_kl/sqrt(h)": TRANSPOSED.label})
    assert (strong(right), strong(wrong)) == (1, HALF)
    assert strong(wrong, "commutative") == 1


def test_commutative_noise_has_no_use_for_areas_and_general_noise_has() -> None:
    without = relabelled(catalogue["SRI1"], {"I_kl/sqrt(h)": "I_(kl)/sqrt(h)"})
    assert (strong(without), strong(without, "commutative")) == (HALF, 1)


# ---------------------------------------------------------------------- additive noise


@pytest.mark.parametrize("name", ["SRA2", "SRA3"])
def test_the_weights_of_i_k0_have_one_right_sign(name: str) -> None:
    """torchsde's tables have the other one; where g does not depend on time it does not matter."""
    right = catalogue[name]
    wrong = replace(
        right,
        name="the other sign",
        outputs=tuple(
            replace(o, weights=tuple(-w for w in o.weights)) if o.label == "I_k0/h" else o
            for o in right.outputs
        ),
    )
    assert (strong(right), strong(wrong)) == (3 * HALF, 1)
    constant = order(wrong, noise="additive", autonomous=True)
    assert constant.strong == 3 * HALF


# ---------------------------------------------------------------------- Burrage and Burrage's class


def four_stages() -> Tableau:
    """A four-stage method of the class with every mean-square condition of order 3/2."""
    zero = (0, 0, 0, 0)
    drift = (zero, ("2/3", 0, 0, 0), ("3/2", "-1/3", 0, 0), ("7/6", 0, 0, 0))
    increment = (zero, ("2/3", 0, 0, 0), ("1/2", "1/6", 0, 0), ("-1/2", 0, "1/2", 0))
    area = (zero, zero, ("-2/3", 0, 0, 0), ("1/6", "1/2", 0, 0))
    nodes = (0, "2/3", "7/6", "7/6")
    couplings = []
    for target in ("drift", "noise"):
        couplings += [
            Coupling(target, "drift", "h", drift),
            Coupling(target, "noise", "I_k", increment),
            Coupling(target, "noise", "I_k0/h", area),
        ]
    return Tableau(
        "four stages",
        (Block("drift", "drift", nodes), Block("noise", "diffusion", nodes)),
        tuple(couplings),
        (
            Output("drift", "h", ("1/4", "3/4", "-3/4", "3/4")),
            Output("noise", "I_k", ("-1/2", "3/2", "-3/4", "3/4")),
            Output("noise", "I_k0/h", ("3/2", "-3/2", 0, 0)),
        ),
        calculus="stratonovich",
        noise="scalar",
    )


def test_mean_square_conditions_alone_are_worth_half_an_order_less() -> None:
    """Eight of the ten means of order 2 are wrong, and the strong order is 1."""
    method = four_stages()
    prover = Prover(method, "scalar")
    for halves in (1, 2, 3):
        assert not list(prover.square_failures(Fraction(halves, 2)))
    assert len(list(prover.mean_failures(Fraction(2), "mean"))) == 8
    assert strong(method) == 1
    assert order(method).deterministic == 3
    assert strong(catalogue["SRSC1"], "scalar") == 3 * HALF
    study = convergence.strong(problems.oscillator(), method, paths=1500, confidence=SURE)
    assert study.agrees(1), str(study)
    assert not study.agrees(3 * HALF), str(study)


def test_r2_has_the_least_principal_error_of_two_shared_stages() -> None:
    """The family: nodes 0 and c, order 2 without noise, drift and diffusion alike."""

    def norm(c: Fraction) -> float:
        b = 1 / (2 * c)
        family = Tableau.shared("c", A=[[0, 0], [c, 0]], b=[1 - b, b], calculus="stratonovich")
        return float(principal_norm(family, "strong", noise="scalar"))

    best = float(principal_norm(catalogue["R2"], "strong", noise="scalar"))
    for c in (HALF, Fraction(3, 5), Fraction(5, 8), Fraction(7, 10), Fraction(3, 4), Fraction(1)):
        assert best < norm(c), c
    assert best == pytest.approx(norm(Fraction(2, 3)))


def carried_plane() -> SDE:
    """Commutative noise with a drift that does not commute with it; all fields smooth and bounded."""
    weights = torch.tensor(((0.6, 0.3), (-0.4, 0.5)), dtype=torch.float64)
    turn = torch.tensor(((0.0, -1.5), (1.5, 0.0)), dtype=torch.float64)
    return SDE(
        lambda t, y: torch.sin(y @ turn.T + t),
        lambda t, y: torch.cos(y + t)[..., None] * weights,
        noise="commutative",
        calculus="stratonovich",
    )


def test_srsc1_shows_order_three_halves_where_the_drift_does_not_commute() -> None:
    """Without such a drift its terms of order 3/2 vanish: order 2 is seen."""
    study = convergence.strong(
        carried_plane(),
        "SRSC1",
        y0=torch.tensor([0.1, -0.3], dtype=torch.float64),
        t=(0.0, 1.0),
        steps=(16, 32, 64, 128, 256),
        paths=1000,
        reference="half",
        confidence=SURE,
    )
    assert study.agrees(3 * HALF), str(study)
    assert not study.agrees(1), str(study)
    flattered = convergence.strong(
        problems.bounded_plane(), "SRSC1", paths=1500, confidence=SURE, steps=(8, 16, 32, 64)
    )
    assert flattered.agrees(2), str(flattered)


@pytest.mark.slow
@pytest.mark.parametrize("problem", ["unicycle", "triple"])
def test_general_noise_without_areas_costs_half_an_order(problem: str) -> None:
    for name, expected in (("MilsteinGeneral", Fraction(1)), ("R2", HALF)):
        study = convergence.strong(
            problems.library[problem],
            name,
            steps=(8, 16, 32, 64, 128),
            paths=2500,
            reference="half",
            confidence=SURE,
        )
        assert study.agrees(expected), str(study)
        assert not study.agrees(3 * HALF - expected), str(study)
