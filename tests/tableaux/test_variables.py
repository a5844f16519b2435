"""Labels are polynomials in primitives; their moments are those of the integrals they stand for."""

from __future__ import annotations

from fractions import Fraction

import pytest

from tableaux import TableauError, Variable, catalogue, register, variables

# Moments of the primitives for h = 1, by power; those of A are not needed for the laws below.
THETA = {0: 1, 1: 0, 2: 1, 3: 0, 4: 3, 5: 0, 6: 9}
MOMENTS = {
    "W": {0: 1, 1: 0, 2: 1, 3: 0, 4: 3, 5: 0, 6: 15},
    "H": {0: 1, 1: 0, 2: Fraction(1, 12), 3: 0, 4: Fraction(3, 144)},
    "theta": THETA,
    "eta": {0: 1, 1: 0, 2: 1, 3: 0, 4: 1},
    "sign": {0: 1, 1: 0, 2: 1, 3: 0, 4: 1},
}


def expectation(*factors):
    """E of a product of (label, k, l) at h = 1."""
    polynomial = {(): Fraction(1)}
    for label, *channels in factors:
        polynomial_new = {}
        for coefficient, _, monomial in variables[label].terms(*channels):
            for old, value in polynomial.items():
                powers = dict(old)
                for primitive, exponent in monomial:
                    powers[primitive] = powers.get(primitive, 0) + exponent
                key = tuple(sorted(powers.items()))
                polynomial_new[key] = polynomial_new.get(key, 0) + value * Fraction(
                    int(coefficient.p), int(coefficient.q)
                )
        polynomial = polynomial_new
    total = Fraction(0)
    for powers, value in polynomial.items():
        for (name, _), exponent in powers:
            value *= MOMENTS[name][exponent]
        total += value
    return total


def test_the_double_integrals_of_time_and_noise_have_their_covariance():
    assert expectation(("I_k0/h", 1), ("I_k0/h", 1)) == Fraction(1, 3)
    assert expectation(("I_k0/h", 1), ("I_k", 1)) == Fraction(1, 2)
    assert expectation(("I_0k/h", 1), ("I_k", 1)) == Fraction(1, 2)
    assert expectation(("I_0k/h", 1), ("I_k0/h", 1)) == Fraction(1, 6)


def test_ito_integrals_are_orthogonal():
    assert expectation(("I_kk/sqrt(h)", 1), ("I_k", 1)) == 0
    assert expectation(("I_kk/sqrt(h)", 1), ("I_kk/sqrt(h)", 1)) == Fraction(1, 2)
    assert expectation(("I_kkk/h", 1), ("I_k", 1)) == 0
    assert expectation(("I_kkk/h", 1), ("I_kkk/h", 1)) == Fraction(1, 6)


@pytest.mark.parametrize("pair", [(1, 2), (2, 1), (2, 3), (3, 1)])
def test_the_weak_pair_variable_has_the_second_moments_of_the_double_integral(pair):
    k, l = pair
    assert expectation(("I^_kl/sqrt(h)", k, l)) == 0
    assert expectation(("I^_kl/sqrt(h)", k, l), ("I^_kl/sqrt(h)", k, l)) == Fraction(1, 2)
    assert expectation(("I^_kl/sqrt(h)", k, l), ("I^_kl/sqrt(h)", l, k)) == 0
    # E[I_l^2 I_kl^2] = 1, where theta_k theta_l (1 -/+ eta)/2 would give 3/2 and lose an order.
    square = [("I^_kl/sqrt(h)", k, l)] * 2
    assert expectation(*square, ("theta_k", l), ("theta_k", l)) == 1
    assert expectation(("I^_kl/sqrt(h)", k, l), ("theta_k", k), ("theta_k", l)) == Fraction(1, 2)


def test_the_weak_pair_variables_of_different_pairs_are_uncorrelated():
    # The customary form, one two-point variable a channel, has 1/4 here and loses an order.
    assert expectation(("I^_kl/sqrt(h)", 1, 2), ("I^_kl/sqrt(h)", 1, 3)) == 0
    assert expectation(("I^_kl/sqrt(h)", 1, 2), ("I^_kl/sqrt(h)", 2, 3)) == 0


def test_the_stratonovich_pair_variable_is_antisymmetric():
    forward, backward = (variables["A^_kl/sqrt(h)"].terms(*p) for p in ((1, 2), (2, 1)))
    assert [(-c, p, m) for c, p, m in forward] == list(backward)
    assert expectation(("A^_kl/sqrt(h)", 1, 2), ("A^_kl/sqrt(h)", 1, 2)) == 1


def test_sizes_are_the_powers_of_h():
    assert variables["h"].size == 1
    assert variables["I_k0"].size == Fraction(3, 2)
    assert variables["1"].size == 0
    for label in ("I_k", "I_kk/sqrt(h)", "I_kkk/h", "I^_kl/sqrt(h)", "A^_kl/sqrt(h)"):
        assert variables[label].size == Fraction(1, 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Variable("x", 1, "W_k + h"), "different powers of h: 1/2, 1"),
        (lambda: Variable("x", 0, "W_k"), "with 0 indices cannot use 'W_k'"),
        (lambda: Variable("x", 1, "A_kl"), "cannot use 'A_kl'"),
        (lambda: Variable("x", 1, "V_k"), "unknown primitive 'V_k'"),
        (lambda: Variable("x", 2, "W_k"), "the cases k < l and k > l are needed"),
        (lambda: Variable("x", 3, "h"), "arity 3"),
        (lambda: register(Variable("h", 0, "2*h")), "already names another variable"),
    ],
)
def test_a_malformed_variable_is_refused(make, message):
    with pytest.raises(TableauError, match=message):
        make()


def test_every_label_of_the_catalogue_is_registered():
    assert all(label in variables for t in catalogue.values() for label in t.labels)
