"""Functionals over a part of a step in the order theory."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import combinations_with_replacement

import pytest

from tableaux import Coupling, Tableau, TableauError, catalogue, order, variables
from tableaux.parts import _primitive
from tableaux.words import covariance, monomial_mean


def moved(name: str, old: str, new: str) -> Tableau:
    """A method with the noise of another part of the step in one of its stages."""
    method = catalogue[name]
    labels = {f"int phi_0 dW_k@{old}": f"int phi_0 dW_k@{new}"}
    couplings = [replace(c, label=labels.get(c.label, c.label)) for c in method.couplings]
    return replace(method, name="moved", couplings=tuple(couplings), orders={})


def test_covariances_by_weights_are_those_by_words_over_pieces() -> None:
    names = ["W", "H", "K", "P0@1/2", "P1@1/2", "P2@1/3", "P0@2/3", "P3@5/6"]
    for one, other in combinations_with_replacement(names, 2):
        product = _primitive(one, (1,), "ito", 6) * _primitive(other, (1,), "ito", 6)
        # Over a step of length 6, where each primitive is sqrt(6) times as large.
        assert product.expectation() == 6 * covariance(one, other), (one, other)


def test_moments_are_those_of_jointly_gaussian_variables() -> None:
    half, whole = (("P0@1/2", (1,)), 2), (("W", (1,)), 2)
    # E B^2 W^2 = Var B Var W + 2 Cov^2, B and W - B being independent.
    assert monomial_mean((half, whole)) == Fraction(1, 2) + 2 * Fraction(1, 4)
    assert monomial_mean(((("P0@1/2", (1,)), 1), (("W", (2,)), 1))) == 0
    assert monomial_mean((half, (("theta", (1,)), 2))) == Fraction(1, 2)
    with pytest.raises(TableauError, match="no joint moments"):
        monomial_mean((half, (("A", (1, 2)), 2)))


@pytest.mark.parametrize(("name", "old"), [("SEEDS2Noise", "1/2"), ("SEEDS3Noise", "2/3")])
def test_with_the_noise_of_another_part_of_the_step_weak_order_two_is_lost(
    name: str, old: str
) -> None:
    verdict = order(moved(name, old, "1/5"), noise="additive", autonomous=True)
    assert (verdict.weak, verdict.strong) == (1, 1)


def test_a_stage_in_the_middle_of_the_step_and_of_its_path_has_strong_order_one_only() -> None:
    failing = order(catalogue["SEEDS2Noise"], autonomous=True).failing
    # W(h/2) h - int W ds, of the variance h^3/12.
    assert str(failing[0].residual) == "sqrt(3)/6"


def test_the_force_of_langevin_dynamics_must_not_see_the_noise() -> None:
    ubu = catalogue["UBU"]
    assert order(ubu, noise="kinetic").strong == 2
    # The noise at the beginning of the step instead: L leads from it to the force at once.
    wrong = replace(
        ubu,
        couplings=(Coupling("drift", "noise", "I_k", (("1/2*phi_0(z/2)",),)),),
        orders={},
    )
    assert order(wrong, noise="kinetic").weak == 2  # seen from order 3 on
    late = replace(ubu, outputs=[replace(o, weights=("phi_1(z)",)) if o.label == "h" else o
                                 for o in ubu.outputs], orders={})  # fmt: skip
    assert order(late, noise="kinetic").by_noise["kinetic"].weak == 2
    early = replace(ubu, outputs=[replace(o, weights=("phi_0(z)",)) if o.label == "h" else o
                                  for o in ubu.outputs], orders={})  # fmt: skip
    assert order(early, noise="kinetic").weak == 1


@pytest.mark.parametrize("share", ["2/4", "3/2", "1/1", "0.5", "0/2", ""])
def test_a_part_of_a_step_is_a_fraction_in_lowest_terms(share: str) -> None:
    assert "int phi_0 dW_k@1/2" in variables
    with pytest.raises(TableauError, match="unknown random variable"):
        Coupling("a", "b", f"int phi_0 dW_k@{share}", ((1,),))
