"""What a tableau is, and what is refused as one."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

import tableaux
from tableaux import Block, Coupling, Output, Tableau, TableauError, catalogue
from tableaux.files import dumps, loads

NAMES = sorted(catalogue)

rationals = st.fractions(min_value=-10, max_value=10, max_denominator=50)
surds = st.builds(
    lambda a, b, n: (
        sympy.Rational(a.numerator, a.denominator)
        + sympy.Rational(b.numerator, b.denominator) * sympy.sqrt(n)
    ),
    rationals,
    rationals,
    st.integers(2, 7),
)
entries = st.one_of(rationals, surds, st.integers(-3, 3))


@st.composite
def explicit_tableaux(draw: st.DrawFn) -> Tableau:
    s = draw(st.integers(1, 4))
    lower = [[draw(entries) if j < i else 0 for j in range(s)] for i in range(s)]
    noise = [[draw(entries) if j < i else 0 for j in range(s)] for i in range(s)]
    weights = [1, *(draw(entries) for _ in range(s - 1))]
    return Tableau.shared("drawn", lower, weights, B=noise, beta=weights)


def test_the_catalogue_holds_the_first_methods_by_name():
    for name in [
        "EM",
        "EulerHeun",
        "Heun",
        "Midpoint",
        "DFMilstein",
        "DFMilsteinStratonovich",
        "SRIW1",
        "SRIW2",
        "SOSRI",
        "SRA1",
        "SRA2",
        "SRA3",
        "SOSRA",
        "SEA",
        "ShARK",
        "RI6",
        "RS2",
    ]:
        assert catalogue[name].name == name


@pytest.mark.parametrize("name", NAMES)
def test_every_entry_of_the_catalogue_has_orders_a_citation_and_one_line_of_advice(name):
    tableau = catalogue[name]
    assert tableau.claimed(tableau.noise) != (None, None)
    assert tableau.citation
    assert tableau.advice
    assert "\n" not in tableau.advice


@pytest.mark.parametrize("name", NAMES)
def test_toml_keeps_every_entry_of_the_catalogue_exactly(name, tmp_path):
    tableau = catalogue[name]
    tableau.save(tmp_path / "method.toml")
    read = tableaux.load(tmp_path / "method.toml")
    assert read == tableau
    assert hash(read) == hash(tableau)


@given(explicit_tableaux())
def test_toml_keeps_any_tableau_exactly(tableau):
    assert loads(dumps(tableau)) == tableau


def test_equality_is_by_content_and_ignores_the_order_of_writing():
    sra1 = catalogue["SRA1"]
    shuffled = replace(
        sra1, couplings=sra1.couplings[::-1], outputs=sra1.outputs[::-1], name=sra1.name
    )
    assert shuffled == sra1
    assert hash(shuffled) == hash(sra1)
    assert sra1.substitute({}, name="another") != sra1


def test_split_couplings_are_merged_and_zero_ones_dropped():
    heun = catalogue["Heun"]
    halves = [
        Coupling(c.target, c.source, c.label, tuple(tuple(e / 2 for e in r) for r in c.matrix))
        for c in heun.couplings
        for _ in range(2)
    ]
    nothing = Coupling("drift", "drift", "sqrt(h)", [[0, 0], [0, 0]])
    assert replace(heun, couplings=(*halves, nothing)) == heun


def test_a_tableau_is_frozen_and_can_be_copied_and_pickled():
    tableau = catalogue["SRIW1"]
    with pytest.raises(AttributeError):
        tableau.name = "other"
    assert copy.deepcopy(tableau) == tableau
    assert pickle.loads(pickle.dumps(tableau)) == tableau


def test_exact_numbers_may_be_written_in_every_exact_way():
    ways = [Fraction(3, 4), "3/4", " 3 / 4 ", sympy.Rational(3, 4), "1 - 2**-2", "sqrt(9)/4"]
    made = {Tableau.rk("same", [[0, 0], [a, 0]], [0, 1]) for a in ways}
    assert len(made) == 1
    assert Tableau.rk("t", np.array([[0, 0], [1, 0]]), np.array([0, 1])) == Tableau.rk(
        "t", [[0, 0], [1, 0]], [0, 1]
    )


def test_a_float_is_taken_at_its_decimal_only_when_the_caller_says_so():
    with pytest.raises(TableauError, match=r"A, row 2, entry 1: 0\.1 is a rounded decimal"):
        Tableau.rk("t", [[0, 0], [0.1, 0]], [0, 1])
    made = Tableau.rk("t", [[0, 0], [0.1, 0]], [0, 1], floats=True)
    assert made == Tableau.rk("t", [[0, 0], ["1/10", 0]], [0, 1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("__import__('os').system('true')", "the call"),
        ("1 +", "cannot read"),
        ("1/0", "division by zero"),
        ("9**999999", "the exponent"),
        ("sqrt(-1)", "not a real number"),
        ("0.25", "rounded decimal"),
        ("'x'", "allowed are"),
        ("[1]", "allowed are"),
        ("1 if 1 else 2", "allowed are"),
    ],
)
def test_text_that_is_no_exact_number_is_refused_and_never_run(text, message):
    with pytest.raises(TableauError, match=message):
        Tableau.rk("t", [[0]], [text])


def _em(**changes):
    parts = {
        "blocks": (Block("drift", "drift", (0,)), Block("diffusion", "diffusion", (0,))),
        "couplings": (),
        "outputs": (Output("drift", "h", (1,)), Output("diffusion", "I_k", (1,))),
    }
    return Tableau("broken", **{**parts, **changes})


def _remembering(lag, entry, start=None):
    """Euler's method, and an entry that weighs the drift of some steps before."""
    return _em(
        blocks=(*_em().blocks, Block("old", "drift", (0,), remembers="drift", lag=lag)),
        outputs=(*_em().outputs, Output("old", "h", (entry,))),
        start=start or _em(),
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: _em(outputs=()), "no output has a non-zero weight"),
        (lambda: _em(blocks=()), "at least one block"),
        (
            lambda: _em(blocks=(Block("drift", "drift", (0,)), Block("drift", "drift", (0,)))),
            "two blocks have the name 'drift'",
        ),
        (
            lambda: Block("b", "drft", (0,)),
            "block 'b': colour unknown choice 'drft'; did you mean 'drift'",
        ),
        (lambda: Block("b", "drift", ()), "block 'b': a block needs at least one stage"),
        (
            lambda: Block("b", "drift", (0.5,)),
            "block 'b': nodes, entry 1: 0.5 is a rounded decimal",
        ),
        (
            lambda: _em(outputs=(Output("drift", "h", (1, 2)),)),
            r"output of 'drift' \(h, all\): 2 weights for 1 stages",
        ),
        (lambda: Output("drift", "I_kj", (1,)), "unknown random variable 'I_kj'; did you mean"),
        (
            lambda: _em(outputs=(Output("drift", "I_k", (1,)),)),
            "has 1 channel indices, but 'drift' has 0",
        ),
        (
            lambda: _em(outputs=(Output("dift", "h", (1,)),)),
            "unknown block 'dift'; did you mean 'drift'",
        ),
        (
            lambda: _em(couplings=(Coupling("drift", "diffusion", "I_k", [[0, 1]]),)),
            "the matrix is 1 x 2, but 'drift' has 1 stages",
        ),
        (
            lambda: _em(couplings=(Coupling("drift", "diffusion", "I_k", [[1]], "own"),)),
            "'drift' has none; use 'all'",
        ),
        (
            lambda: _em(couplings=(Coupling("drift", "diffusion", "I_kl/sqrt(h)", [[1]]),)),
            "has 2 channel indices, but source and target have 1",
        ),
        (
            lambda: _em(couplings=(Coupling("drift", "drift", "h", [[1]]),)),
            r"in a cycle: drift\[1\] -> drift\[1\]",
        ),
        (lambda: _em(implicit=True), "no stage depends on itself"),
        (lambda: _em(noise="diag"), "did you mean 'diagonal'"),
        (lambda: _em(calculus="Ito?"), "calculus unknown choice"),
        (lambda: _em(orders={"general": ("1/3", 1)}), "1/3 is no multiple of one half"),
        (lambda: _em(orders={"genral": (1, 1)}), "did you mean 'general'"),
        (
            lambda: _em(blocks=(*_em().blocks, Block("old", "drift", (0,), remembers="drift"))),
            "`start` must give the tableau of the first step",
        ),
        (lambda: _em(start=catalogue["EM"]), "a start is given, but no block remembers"),
        (
            lambda: _em(
                blocks=(
                    Block("drift", "drift", (0,)),
                    Block("diffusion", "diffusion", (0,)),
                    Block("old", "drift", (0, 1), remembers="drift"),
                ),
                start=catalogue["EM"],
            ),
            "has stages 2 instead of 1",
        ),
        (lambda: Tableau.rk("t", [[0, 0], [1]], [1, 0]), "rows have different lengths"),
        (lambda: Tableau.rk("t", [[0]], ["r"]), "uses the step ratio r, but no block remembers"),
        (lambda: _remembering(1, "r_2"), "step ratio r_2, but no block remembers 2 steps"),
        (lambda: _remembering(2, "1", catalogue["EM"]), "remembers 2 steps, .* but there are 1"),
        (lambda: Block("old", "drift", (0,), lag=2), "a lag is given, but the block remembers"),
        (lambda: Block("old", "drift", (0,), remembers="drift", lag=0), "a number of steps from 1"),
        (
            lambda: _em(outputs=(Output("drift", "h", ("phi_1(z)*h_t",)),)),
            "h_t, the step relative to",
        ),
    ],
)
def test_a_malformed_tableau_is_refused_naming_block_and_entry(make, message):
    with pytest.raises(TableauError, match=message):
        make()


def test_a_two_stage_cycle_is_named_whole():
    with pytest.raises(TableauError, match=r"drift\[1\] -> drift\[2\] -> drift\[1\]"):
        Tableau.rk("t", [[0, 1], [1, 0]], [1, 0])
    assert Tableau.rk("t", [[0, 1], [1, 0]], [1, 0], implicit=True).implicit


def test_an_unknown_method_is_a_key_error_with_near_names():
    with pytest.raises(KeyError, match="did you mean 'SRIW"):
        catalogue["SRIW"]


@pytest.mark.parametrize("name", ["EM(2)", "SROCK1(20, 1, 1, 1)"])
def test_a_method_is_given_no_more_parameters_than_it_has(name):
    with pytest.raises(KeyError, match="parameters; it has"):
        catalogue[name]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "SRA1"', "name = 3", "name: expected text, got 3"),
        ('calculus = "ito"', "calculus = ", "malformed TOML"),
        ("[[couplings]]", "[[coupling]]", "unknown key 'coupling'; did you mean 'couplings'"),
        ('target = "drift"', 'taget = "drift"', r"couplings\[1\]: unknown key 'taget'"),
        ('colour = "drift"\n', "", r"blocks\[1\]: the key 'colour' is missing"),
        ('"3/4"', "0.75", "0.75 is a rounded decimal"),
        ('strong = "3/2"', 'strong = "many"', "holds no fractions"),
        ('colour = "drift"', 'colour = "drift"\nlag = "two"', "lag is a number of steps from 1 on"),
        ('label = "h"', 'label = "hh"', r"couplings\[1\]: .* unknown random variable 'hh'"),
    ],
)
def test_a_malformed_file_is_refused_with_its_name_and_the_place(tmp_path, old, new, message):
    text = dumps(catalogue["SRA1"])
    assert old in text
    path = tmp_path / "broken.toml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(TableauError, match=message) as caught:
        tableaux.load(path)
    assert str(path) in str(caught.value)


def test_a_family_member_is_made_by_substitution():
    family = Tableau.rk("two-stage", [[0, 0], ["a", 0]], ["1 - 1/(2*a)", "1/(2*a)"])
    assert {str(s) for s in family.free_symbols} == {"a"}
    midpoint = family.substitute({"a": "1/2"}, name="midpoint")
    assert midpoint == Tableau.rk("midpoint", [[0, 0], ["1/2", 0]], [0, 1])
    with pytest.raises(TableauError, match="unknown free symbol 'b'"):
        family.substitute({"b": 1})


@pytest.mark.parametrize("name", NAMES)
def test_every_tableau_can_be_shown_as_text_latex_and_html(name):
    tableau = catalogue[name]
    assert name in repr(tableau)
    assert all(block.name in repr(tableau) for block in tableau.blocks)
    assert tableau._repr_latex_().startswith("$")
    assert "<table>" in tableau._repr_html_()
    assert name in repr(catalogue)
    assert name in catalogue._repr_html_()


def test_claims_hold_for_the_classes_inside():
    assert catalogue["EM"].claimed("diagonal") == (Fraction(1, 2), Fraction(1))
    assert catalogue["EM"].claimed("additive") == (Fraction(1), Fraction(1))
    assert catalogue["RI6"].claimed("scalar") == (None, Fraction(2))
    assert catalogue["SRA1"].claimed("martingale") == (Fraction(3, 2), Fraction(2))
