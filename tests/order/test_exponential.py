"""The order theory of exponential tableaux: L has a colour of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from tableaux import (
    NOISE_CLASSES,
    Coupling,
    Output,
    Tableau,
    TableauError,
    catalogue,
    lawson,
    order,
    order_conditions,
    stiff_conditions,
    stiff_order,
    trees,
)
from tableaux.phi import coefficient, combination, phi
from tableaux.rooted_trees import LINEAR, TIME, Tree
from tableaux.weights import entry_weights

EXPONENTIAL = sorted(name for name, t in catalogue.items() if t.exponential)
EXPLICIT = [
    "EM", "Heun", "SRA1", "ShARK", "SRIW1", "SRI1", "SRID1", "SlowRK", "RK4", "DormandPrince",
    "W2F1", "S2F1", "MilsteinGeneral", "MilsteinCommutative", "PL",
]  # fmt: skip


def test_nodes_of_L_bear_one_child() -> None:
    # Without noise: chains are one, and of order 3 only [ab]_0 branches, not [ab]_L.
    assert [len(trees(p, (0, LINEAR))) for p in (1, 2, 3)] == [2, 4, 8 + 3]
    assert repr(Tree(LINEAR, [Tree(0)])) == "[0]_L"
    for children in ([Tree(0), Tree(0)], [Tree(TIME)]):
        with pytest.raises(ValueError, match="one child"):
            Tree(LINEAR, children)


@pytest.mark.parametrize("name", EXPLICIT)
def test_a_lawson_form_has_the_orders_of_its_method(name: str) -> None:
    form = lawson(catalogue[name])
    for noise in NOISE_CLASSES:
        if form.accepts(noise):
            verdict = order(form, noise=noise).by_noise[noise]
            assert (verdict.strong, verdict.weak) == form.claimed(noise), noise


@pytest.mark.parametrize("name", EXPONENTIAL)
def test_without_L_they_are_methods_of_the_same_order(name: str) -> None:
    tableau = catalogue[name]
    plain = tableau.without_linear_part
    assert not plain.exponential
    for noise, verdict in order(tableau).by_noise.items():
        other = order(plain, noise=noise).by_noise[noise]
        assert other.weak is not None
        assert verdict.weak is not None
        assert other.weak >= verdict.weak


def test_with_phi_functions_of_the_wrong_argument_the_order_drops_only_with_L() -> None:
    wrong = Tableau.rk(
        "wrong",
        [[0, 0], ["phi_1(z/2)", 0]],  # Heun's stage, moved over half of the step
        ["phi_1(z) - phi_2(z)", "phi_2(z)"],
        [0, 1],
    )
    assert order(wrong.without_linear_part).strong == 2
    report = order(wrong)
    assert report.strong == 2  # an error h^2 L N in a stage is one of order 3 in the new value
    output = Tableau.rk("output", [[0]], ["phi_1(z/2)"], [0])
    assert order(output).strong == 1
    moved = replace(
        catalogue["SETDRK2"],
        outputs=[
            Output("drift", "h", ("phi_1(z) - 4/3*phi_2(z)", "4/3*phi_2(z)")),
            Output("diffusion", "I_k", ("phi_0(z)", 0)),
        ],
    )
    # Noise at the beginning of the step in place of the exact one: E (L int dW)^2 is missed.
    verdict = order(moved, noise="additive").by_noise["additive"]
    assert (verdict.strong, verdict.weak) == (1, 1)
    assert LINEAR in {node.colour for f in verdict.failing for t in f.forest for node in t.nodes()}


@given(st.integers(0, 4), st.fractions(-2, 2, max_denominator=6), st.integers(0, 5))
@settings(max_examples=30)
def test_expansions(k: int, c: Fraction, n: int) -> None:
    share = sympy.Rational(c.numerator, c.denominator)
    found = coefficient(phi(k, share), n)
    if c == 0:
        assert found == (sympy.Rational(1, sympy.factorial(k)) if n == 0 else 0)
    else:
        assert found == share**n / sympy.factorial(n + k)


def _parts(tableau: Tableau) -> list[tuple[Coupling | Output, int, Any, list[Any]]]:
    """Couplings and outputs row by row: part, row, the node that it leads to, its entries."""
    found: list[tuple[Coupling | Output, int, Any, list[Any]]] = []
    for c in tableau.couplings:
        nodes = tableau.block(c.target).nodes
        found += [(c, i, node, list(row)) for i, (node, row) in enumerate(zip(nodes, c.matrix))]
    return found + [(o, 0, sympy.Integer(1), list(o.weights)) for o in tableau.outputs]


@pytest.mark.parametrize("name", [n for n in EXPONENTIAL if "Lawson" not in n and n != "UBU"])
def test_stages_and_value_are_exact_for_a_constant_force(name: str) -> None:
    tableau = catalogue[name]
    sums: dict[tuple[str, int, Any], Any] = {}
    for part, i, node, row in _parts(tableau):
        if tableau.block(part.source).colour == "drift":
            key = (part.target if isinstance(part, Coupling) else "", i, node)
            sums[key] = sums.get(key, 0) + sum(row)
    assert sums
    for (_, _, node), total in sums.items():
        assert sympy.expand(total - node * phi(1, node)) == 0


@pytest.mark.parametrize("name", EXPONENTIAL)
def test_nothing_is_moved_backwards_and_noise_of_the_whole_step_from_its_begin(name: str) -> None:
    tableau = catalogue[name]
    for part, _, node, row in _parts(tableau):
        terms = {term for entry in row if entry for term in combination(entry)}
        # Backwards, the modes that decay fastest would grow most.
        assert all(term is None or term[1] >= 0 for term in terms)
        drift = tableau.block(part.source).colour == "drift"
        if drift or "phi" in part.label or "Lawson" in name or name == "UBU":
            continue
        # But for the one whose noise enters in the middle.
        start = sympy.Rational(name == "ETDW2F1" and isinstance(part, Output), 2)
        allowed = {(0, node - start)} if node != start else {None}
        assert terms <= allowed, (part.source, part.label)


def test_stiff_orders_are_those_of_the_literature() -> None:
    orders = {"ETD2RK": 2, "ETDRK4": 2, "Krogstad": 3, "HochbruckOstermann": 4}
    assert {name: stiff_order(catalogue[name]) for name in orders} == orders
    assert stiff_order(lawson(catalogue["RK4"])) == 1
    assert stiff_order(lawson(catalogue["DormandPrince"])) == 1
    with pytest.raises(TableauError, match="one block of drift stages"):
        stiff_order(catalogue["RK4"])
    with pytest.raises(TableauError, match="conditions for 1 to 4"):
        stiff_conditions(catalogue["ETD2RK"], 5)


def test_the_stiff_order_of_a_method_with_noise_is_that_without() -> None:
    orders = {"SETDRK2": 2, "SETDRK2D": 2, "ETDW2F1": 2, "ExponentialMilstein": 1, "LawsonSRA1": 1}
    assert {name: stiff_order(catalogue[name]) for name in orders} == orders
    assert {name: stiff_order(catalogue[name]) for name in ("RES2", "RES3")} == {
        "RES2": 2,
        "RES3": 3,
    }


def test_the_conditions_of_exponential_methods_name_the_coefficients_of_powers_of_hL() -> None:
    found = order_conditions("strong", 2, catalogue["ETD2RK"])
    assert {c.text for c in found} == {
        "z[drift,h]^T e = 1",
        "z[drift,h]1^T e = 1/2",
        "z[drift,h]^T c[drift] = 1/2",
        "z[drift,h]^T Z[drift,drift,h] e = 1/2",
    }
    # Strong order 1 for general noise needs more blocks than one of each colour.
    assert "0 = 1" in [c.text for c in order_conditions("strong", 1, catalogue["ExponentialEM"])]


@pytest.mark.parametrize(
    ("name", "kind", "p"), [("SETDRK2D", "strong", "3/2"), ("RES3", "weak", 3)]
)
def test_methods_satisfy_the_written_conditions_of_their_order(
    name: str, kind: str, p: Any
) -> None:
    tableau = catalogue[name]
    values = _scalars(tableau)
    for condition in order_conditions(kind, p, tableau):
        left = sum(
            (
                weight * sympy.prod(values(s) for s in monomial)
                for monomial, weight in condition.polynomial
            ),
            sympy.Integer(0),
        )
        assert sympy.simplify(left) == 0, condition.text


def _scalars(tableau: Tableau) -> Callable[[Any], Any]:
    """The value of a formal scalar such as ``z1^T (Z c)``, from the entries of a tableau."""
    parts: dict[str, Any] = {}
    for part in (*tableau.couplings, *tableau.outputs):
        coupling = isinstance(part, Coupling)
        rows = part.matrix if isinstance(part, Coupling) else (part.weights,)
        inside = f"{part.target},{part.source}" if isinstance(part, Coupling) else part.source
        for n in range(5):
            matrix = sympy.Matrix([[coefficient(e, n) for e in row] for row in rows])
            name = f"{'Z' if coupling else 'z'}[{inside},{part.label}]{n or ''}"
            parts[name] = matrix
    nodes = {f"c[{b.name}]": sympy.Matrix(b.nodes) for b in tableau.blocks}

    def vector(product: Any, stages: int) -> Any:
        total = sympy.ones(stages, 1)
        for name, inner in product:
            factor = nodes[name] if inner is None else parts[name] * vector(inner, parts[name].cols)
            total = total.multiply_elementwise(factor)
        return total

    return lambda scalar: (parts[scalar[0]] * vector(scalar[1], parts[scalar[0]].cols))[0]


def test_what_is_not_there_is_refused() -> None:
    deep = Tree(LINEAR, [Tree(LINEAR, [Tree(LINEAR, [Tree(1)])])])
    with pytest.raises(TableauError, match="cannot be proved"):
        entry_weights(catalogue["ExponentialEM"], 1).output(deep)
