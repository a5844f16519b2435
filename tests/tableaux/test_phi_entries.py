"""phi functions as exact entries: read, written, printed, refused."""

from __future__ import annotations

import copy
import pickle

import pytest
import sympy

from tableaux import Tableau, TableauError, catalogue, lawson
from tableaux.exact import exact, write_exact
from tableaux.files import dumps, loads
from tableaux.phi import combination, phi

NAMES = sorted(name for name, t in catalogue.items() if t.exponential)


def etd(entry: object) -> Tableau:
    return Tableau.rk("etd", [[0]], [entry], [0])


@pytest.mark.parametrize("name", NAMES)
def test_files_pickles_and_copies_are_equal(name: str) -> None:
    tableau = catalogue[name]
    for other in (
        loads(dumps(tableau)),
        pickle.loads(pickle.dumps(tableau)),
        copy.deepcopy(tableau),
    ):
        assert other == tableau
        assert hash(other) == hash(tableau)


def test_entries_are_linear_combinations_in_one_form() -> None:
    entry = exact("phi_1(z) - phi_1(z/2)*sqrt(2) + 2*phi_1(z) + 1/3")
    assert combination(entry) == {
        (1, 1): 3,
        (1, sympy.Rational(1, 2)): -sympy.sqrt(2),
        None: sympy.Rational(1, 3),
    }
    assert exact(write_exact(entry)) == entry
    assert exact("phi_3(0*z)") == sympy.Rational(1, 6)
    assert exact("phi_2(2*z/3 - z/6)") == phi(2, "1/2")
    assert etd("phi_1(z) + phi_2(z) - phi_2(z)") == etd("phi_1(z)")


def test_text_latex_and_html_show_them() -> None:
    tableau = catalogue["Krogstad"]
    assert "phi_1(z/2)/2 - phi_2(z/2)  phi_2(z/2)" in str(tableau)
    assert r"\\varphi_{2}\\left(\\frac{z}{2}\\right)" in repr(tableau._repr_latex_())
    assert "phi_2(z/2)" in tableau._repr_html_()


def test_free_symbols_are_those_beside_z() -> None:
    family = etd("a*phi_1(z) + (1 - a)*phi_1(z/2)")
    assert {str(s) for s in family.free_symbols} == {"a"}
    assert family.substitute({"a": "1/2"}) == etd("phi_1(z)/2 + phi_1(z/2)/2")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("phi_1(z)*phi_1(z/2)", "linear combination"),
        ("phi_1(z)**2", "linear combination"),
        ("sqrt(phi_1(z))", "linear combination"),
        ("z*phi_1(z)", "linear combination"),
        ("1/phi_1(z)", "linear combination"),
        ("phi_1(z**2)", "no real multiple of z"),
        ("phi_1(z + 1)", "no real multiple of z"),
        ("phi_1(a*z)", "no real multiple of z"),
        ("phi_5(z)", "the call"),
        ("phi_1(z, 2)", "the call"),
    ],
)
def test_refused_entries(entry: str, message: str) -> None:
    with pytest.raises(TableauError, match=message):
        etd(entry)


def test_refused_methods() -> None:
    with pytest.raises(TableauError, match="a node is a number"):
        Tableau.rk("node", [[0]], ["phi_1(z)"], ["phi_1(z)"])
    with pytest.raises(TableauError, match="explicit one-step"):
        Tableau.rk("implicit", [["phi_1(z)"]], ["phi_1(z)"], [1], implicit=True)
    for name in ("ImplicitEM", "TwoStep", "ExponentialEM"):
        with pytest.raises(TableauError, match="explicit one-step methods have a Lawson form"):
            lawson(catalogue[name])
