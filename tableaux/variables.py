r"""The random variables that multiply the coefficients of a method.

A *label* such as ``I_kk/sqrt(h)`` names a polynomial in independent *primitives*: functionals of the
Brownian path (``W``, ``H``, ``K``, ``A``) or discrete variables for weak methods (``theta``, ``sign``,
``eta``).  The order theory needs only the polynomial and the law of each primitive; the engine needs
only the polynomial and a sampler of each primitive.  So a new label is one line of data, for both.

Indices: in a two-index label, ``k`` is the channel of the source (the inner integral) and ``l`` that
of the target (the outer integral), as in ``I_kl = int W_k dW_l``, the integral that multiplies
``g_l' g_k``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import TypeVar

import sympy

from tableaux.errors import TableauError, unknown
from tableaux.exact import exact

__all__ = [
    "FUNCTIONALS",
    "PRIMITIVES",
    "Primitive",
    "Term",
    "Variable",
    "of_part",
    "register",
    "variables",
]

RELATIONS = ("equal", "less", "greater")

Monomial = tuple[tuple[tuple[str, tuple[int, ...]], int], ...]
Term = tuple[sympy.Expr, Fraction, Monomial]


@dataclass(frozen=True)
class Primitive:
    """A random variable that labels are made of.

    Attributes
    ----------
    name : str
    indices : int
        0: one a step; 1: one a channel; 2: one an ordered pair of channels (antisymmetric).
    size : Fraction
        The power of h that it scales with.
    law : str
        ``"path"`` (a functional of the Brownian path on the step), ``"four-point"``,
        ``"three-point"``, ``"two-point"`` or ``"uniform"``.
    meaning : str
    """

    name: str
    indices: int
    size: Fraction
    law: str
    meaning: str


#: Functionals of the path over the first part of a step, ``"E@1/3"`` for that up to ``c h``, c = 1/3:
#: the letter, the label, and what they are. E and F are also there for the whole step.
_PARTS: Mapping[str, tuple[str, str]] = {
    "E": ("int phi_0 dW_k", "int_0^ch e^{(ch-u)L} dW_u"),
    "F": ("int phi_1 dW_k", "(1/h) int_0^ch int_0^r e^{(r-u)L} dW_u dr"),
    **{f"P{n}": (f"int pol_{n} dW_k", f"int_0^ch ((ch-u)/h)^{n}/{n}! dW_u") for n in range(4)},
}
_SHARE = re.compile(r"[1-9]\d*/[1-9]\d*")


def of_part(name: str) -> tuple[str, Fraction] | None:
    """A name with a part of the step, apart: what comes before the sign @, and the share of the step.

    Examples
    --------
    >>> of_part("E@1/2"), of_part("int phi_0 dW_k@2/3"), of_part("E")
    (('E', Fraction(1, 2)), ('int phi_0 dW_k', Fraction(2, 3)), None)
    """
    base, at, text = name.partition("@")
    if not (at and _SHARE.fullmatch(text)):
        return None
    share = Fraction(text)
    return (base, share) if share < 1 and str(share) == text else None


_Value = TypeVar("_Value")


class _WithParts(Mapping[str, _Value]):
    """What there is of whole steps, by name; of parts of a step it is made when it is asked for."""

    def __init__(self, whole: Mapping[str, _Value]) -> None:
        self._whole = whole

    def __iter__(self) -> Iterator[str]:
        return iter(self._whole)

    def __len__(self) -> int:
        return len(self._whole)


class _Primitives(_WithParts[Primitive]):
    def __getitem__(self, name: str) -> Primitive:
        base, share = of_part(name) or ("", None)
        if base in _PARTS:
            return Primitive(name, 1, Fraction(1, 2), "path", f"{_PARTS[base][1]}, c = {share}")
        return self._whole[name]


PRIMITIVES: Mapping[str, Primitive] = _Primitives(
    {
        p.name: p
        for p in (
            Primitive("W", 1, Fraction(1, 2), "path", "increment, N(0, h)"),
            Primitive("H", 1, Fraction(1, 2), "path", "space-time area, N(0, h/12)"),
            Primitive("K", 1, Fraction(1, 2), "path", "space-time-time area, N(0, h/720)"),
            Primitive("A", 2, Fraction(1), "path", "Levy area (I_kl - I_lk)/2"),
            Primitive("E", 1, Fraction(1, 2), "path", "int e^{(h-u)L} dW_u"),
            Primitive("F", 1, Fraction(1, 2), "path", "(1/h) int int_0^r e^{(r-u)L} dW_u dr"),
            Primitive("theta", 1, Fraction(1, 2), "three-point", "0 w.p. 2/3, +-sqrt(3h) w.p. 1/6"),
            Primitive("xi", 1, Fraction(1, 2), "four-point", "+-sqrt((2 +- sqrt(3)) h), never 0"),
            Primitive("sign", 1, Fraction(0), "two-point", "+-1, one a channel"),
            Primitive("eta", 0, Fraction(0), "two-point", "+-1, one a step for all channels"),
            Primitive("u", 0, Fraction(0), "uniform", "on (0, 1), one a step for all channels"),
            Primitive("bridge", 0, Fraction(0), "uniform", "sqrt(12 u (1 - u)) of that u"),
        )
    }
)

_H = sympy.Symbol("h", positive=True)


@dataclass(frozen=True)
class Variable:
    """A labelled random variable: a polynomial in primitives with powers of sqrt(h).

    Attributes
    ----------
    label : str
        The name by which tableaux refer to it.
    arity : int
        Number of channel indices: 0, 1 (the source's) or 2 (source ``k``, target ``l``).
    less, equal, greater : str
        The polynomial where k < l, k == l, k > l, in ``h``, ``W_k``, ``W_l``, ``H_k``, ``A_kl``,
        ``theta_k``, ``sign_k``, ``eta``, ...; labels with fewer than two indices give only `equal`.
    meaning : str
    """

    label: str
    arity: int
    equal: str
    less: str = ""
    greater: str = ""
    meaning: str = ""

    def __post_init__(self) -> None:
        if self.arity not in (0, 1, 2):
            raise TableauError(f"variable {self.label!r}: arity {self.arity} is not 0, 1 or 2")
        if (self.arity == 2) != bool(self.less and self.greater):
            raise TableauError(
                f"variable {self.label!r}: the cases k < l and k > l are needed for two indices "
                "and meaningless for fewer"
            )
        self.size  # refuses terms of different sizes  # noqa: B018

    def _relations(self) -> tuple[str, ...]:
        return RELATIONS if self.arity == 2 else ("equal",)

    @property
    def size(self) -> Fraction:
        """The power of h that this variable scales with."""
        sizes = {
            power + sum((PRIMITIVES[name].size * e for (name, _), e in monomial), Fraction(0))
            for relation in self._relations()
            for _, power, monomial in self._terms(relation)
        }
        if len(sizes) != 1:
            raise TableauError(
                f"variable {self.label!r}: its terms scale with different powers of h: "
                + ", ".join(map(str, sorted(sizes)))
            )
        return sizes.pop()

    @property
    def primitives(self) -> frozenset[str]:
        """Names of the primitives that it needs."""
        return frozenset(
            name
            for relation in self._relations()
            for _, _, monomial in self._terms(relation)
            for (name, _), _ in monomial
        )

    def expression(self, relation: str = "equal") -> sympy.Expr:
        """The polynomial as sympy, for k == l, k < l or k > l."""
        text = {"equal": self.equal, "less": self.less, "greater": self.greater}[
            relation if self.arity == 2 else "equal"
        ]
        if of_part(self.label):
            return sympy.Symbol(text)  # the sign @ is none of arithmetic
        read = exact(text, where=f"variable {self.label!r}")
        return sympy.expand(read.subs(sympy.Symbol("h"), _H))

    def terms(self, k: int = 1, l: int | None = None) -> tuple[Term, ...]:
        """The polynomial for concrete channels.

        Returns
        -------
        tuple of (coefficient, h_power, monomial)
            ``monomial`` is a tuple of ``((primitive, indices), power)``.
        """
        other = k if l is None else l
        relation = "equal" if k == other else ("less" if k < other else "greater")
        channel = {"k": k, "l": other}
        return tuple(
            (
                coefficient,
                power,
                tuple(
                    sorted(
                        ((name, tuple(channel[i] for i in roles)), exponent)
                        for (name, roles), exponent in monomial
                    )
                ),
            )
            for coefficient, power, monomial in self._terms(relation)
        )

    @cache  # noqa: B019  (variables live as long as the process)
    def _terms(
        self, relation: str
    ) -> tuple[tuple[sympy.Expr, Fraction, tuple[tuple[tuple[str, str], int], ...]], ...]:
        expression = self.expression(relation)
        symbols = sorted(expression.free_symbols - {_H}, key=str)
        roles = {symbol: _role(str(symbol), self) for symbol in symbols}
        if expression == 0:
            return ()
        pieces = sympy.Poly(expression, *symbols).terms() if symbols else [((), expression)]
        terms = []
        for exponents, factor in pieces:
            for part in sympy.Add.make_args(sympy.expand(factor)):
                coefficient, power = part.as_independent(_H)
                exponent = power.as_powers_dict()[_H]
                h_power = Fraction(str(exponent))
                terms.append(
                    (
                        coefficient,
                        h_power,
                        tuple((roles[s], e) for s, e in zip(symbols, exponents) if e),
                    )
                )
        return tuple(terms)


def _role(symbol: str, variable: Variable) -> tuple[str, str]:
    name, _, roles = symbol.partition("_")
    primitive = PRIMITIVES.get(name)
    if primitive is None:
        raise TableauError(
            f"variable {variable.label!r}: " + unknown("primitive", symbol, PRIMITIVES)
        )
    allowed = {
        0: {0: ("",), 1: (), 2: ()},
        1: {0: ("",), 1: ("k",), 2: ()},
        2: {0: ("",), 1: ("k", "l"), 2: ("kl",)},
    }
    if roles not in allowed[variable.arity][primitive.indices]:
        raise TableauError(
            f"variable {variable.label!r} with {variable.arity} indices cannot use {symbol!r}"
        )
    return name, roles


class _Variables(Mapping[str, Variable]):
    """All registered variables by label."""

    def __init__(self) -> None:
        self._by_label: dict[str, Variable] = {}

    def __getitem__(self, label: str) -> Variable:
        found = self._by_label.get(label) or _partial(label)
        if found is None:
            raise TableauError(unknown("random variable", label, self._by_label))
        return found

    def __contains__(self, label: object) -> bool:
        return label in self._by_label or (isinstance(label, str) and bool(_partial(label)))

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_label)

    def __len__(self) -> int:
        return len(self._by_label)

    def __repr__(self) -> str:
        width = max(map(len, self._by_label))
        return "\n".join(f"{v.label:<{width}}  {v.meaning}" for v in self._by_label.values())


@cache
def _partial(label: str) -> Variable | None:
    """The variable of a label such as ``int phi_0 dW_k@1/2``."""
    base, share = of_part(label) or (None, None)
    for letter, (whole, meaning) in _PARTS.items():
        if whole == base:
            return Variable(label, 1, f"{letter}@{share}_k", meaning=f"{meaning}, c = {share}")
    return None


variables: Mapping[str, Variable] = _Variables()


def register(variable: Variable) -> Variable:
    """Make a label known to tableaux, to the order theory and to the engine.

    Raises
    ------
    TableauError
        If the label already names another variable.
    """
    known = variables._by_label  # type: ignore[attr-defined]
    if known.get(variable.label, variable) != variable:
        raise TableauError(f"the label {variable.label!r} already names another variable")
    known[variable.label] = variable
    return variable


for _variable in (
    Variable("1", 0, "1", meaning="one"),
    Variable("h", 0, "h", meaning="step size"),
    Variable("sqrt(h)", 0, "sqrt(h)", meaning="root of the step size"),
    Variable("I_k", 1, "W_k", meaning="increment of W_k"),
    Variable("I_kk/sqrt(h)", 1, "(W_k**2 - h)/(2*sqrt(h))", meaning="Ito int W_k dW_k / sqrt(h)"),
    Variable(
        "J_kk/sqrt(h)", 1, "W_k**2/(2*sqrt(h))", meaning="Stratonovich int W_k dW_k / sqrt(h)"
    ),
    Variable("I_k0", 1, "h*(W_k/2 + H_k)", meaning="int W_k ds"),
    Variable("I_k0/h", 1, "W_k/2 + H_k", meaning="int W_k ds / h"),
    Variable("I_0k/h", 1, "W_k/2 - H_k", meaning="int s dW_k / h"),
    Variable("I_kkk/h", 1, "(W_k**3 - 3*h*W_k)/(6*h)", meaning="Ito triple integral / h"),
    Variable(
        "I_kl/sqrt(h)",
        2,
        equal="(W_k**2 - h)/(2*sqrt(h))",
        less="(W_k*W_l/2 + A_kl)/sqrt(h)",
        greater="(W_k*W_l/2 + A_kl)/sqrt(h)",
        meaning="Ito int W_k dW_l / sqrt(h)",
    ),
    Variable(
        "J_kl/sqrt(h)",
        2,
        equal="W_k**2/(2*sqrt(h))",
        less="(W_k*W_l/2 + A_kl)/sqrt(h)",
        greater="(W_k*W_l/2 + A_kl)/sqrt(h)",
        meaning="Stratonovich int W_k dW_l / sqrt(h)",
    ),
    Variable(
        "I_kl",
        2,
        equal="(W_k**2 - h)/2",
        less="W_k*W_l/2 + A_kl",
        greater="W_k*W_l/2 + A_kl",
        meaning="Ito int W_k dW_l",
    ),
    Variable(
        "J_kl",
        2,
        equal="W_k**2/2",
        less="W_k*W_l/2 + A_kl",
        greater="W_k*W_l/2 + A_kl",
        meaning="Stratonovich int W_k dW_l",
    ),
    Variable(
        "I_(kl)",
        2,
        equal="(W_k**2 - h)/2",
        less="W_k*W_l/2",
        greater="W_k*W_l/2",
        meaning="(I_kl + I_lk)/2: what commutative noise needs of it",
    ),
    Variable(
        "I_(kl)/sqrt(h)",
        2,
        equal="(W_k**2 - h)/(2*sqrt(h))",
        less="W_k*W_l/(2*sqrt(h))",
        greater="W_k*W_l/(2*sqrt(h))",
        meaning="the same / sqrt(h)",
    ),
    Variable("I_k0/sqrt(h)", 1, "sqrt(h)*(W_k/2 + H_k)", meaning="int W_k ds / sqrt(h)"),
    Variable(
        "A_kl/sqrt(h)",
        2,
        equal="0",
        less="A_kl/sqrt(h)",
        greater="A_kl/sqrt(h)",
        meaning="Levy area / sqrt(h)",
    ),
    Variable("I_k00/h^2", 1, "W_k/6 + H_k/2 + K_k", meaning="int W_k ds dr / h^2"),
    Variable("int phi_0 dW_k", 1, "E_k", meaning="int e^{(h-u)L} dW_k: a mode's noise"),
    Variable("int phi_1 dW_k", 1, "F_k", meaning="the mean over the step of such noise"),
    Variable("H_k", 1, "H_k", meaning="space-time area of W_k"),
    Variable("K_k", 1, "K_k", meaning="space-time-time area of W_k"),
    Variable("theta_k", 1, "theta_k", meaning="three-point weak increment"),
    Variable(
        "theta_kk/sqrt(h)", 1, "(theta_k**2 - h)/(2*sqrt(h))", meaning="weak Ito I_kk/sqrt(h)"
    ),
    # A product of signs is right for every number of channels.  With the customary two-point variable
    # of one channel shared across its pairs, E[I_12 I_13] = h^2/4 and the weak order drops to 1 for
    # m >= 3; with theta_k theta_l (1 -/+ eta)/2 the pairs are uncorrelated, but
    # E[I_12^2 I_2^2] = 3 h^3/2 in place of h^3, and it drops to 1 for m >= 2.
    Variable(
        "I^_kl/sqrt(h)",
        2,
        equal="(theta_k**2 - h)/(2*sqrt(h))",
        less="(theta_k*theta_l - h*sign_k*sign_l)/(2*sqrt(h))",
        greater="(theta_k*theta_l + h*sign_k*sign_l)/(2*sqrt(h))",
        meaning="weak Ito I_kl / sqrt(h)",
    ),
    Variable(
        "I^_kl",
        2,
        equal="(theta_k**2 - h)/2",
        less="(theta_k*theta_l - h*sign_k*sign_l)/2",
        greater="(theta_k*theta_l + h*sign_k*sign_l)/2",
        meaning="weak Ito I_kl",
    ),
    Variable(
        "A^_kl/sqrt(h)",
        2,
        equal="0",
        less="-eta*theta_k*theta_l/sqrt(h)",
        greater="eta*theta_k*theta_l/sqrt(h)",
        meaning="weak antisymmetric pair variable of variance h",
    ),
    # The factors are of different channels: with theta_k sign_k for the pair (k, l), as some have it,
    # the areas of (1, 2) and (1, 3) are correlated, and the weak order drops to 1 for m >= 3.
    Variable(
        "theta_k*sign_l",
        2,
        equal="0",
        less="-theta_k*sign_l",
        greater="sign_k*theta_l",
        meaning="the same with a sign of the later channel",
    ),
    Variable("sign_k*sqrt(h)", 1, "sign_k*sqrt(h)", meaning="two-point weak increment"),
    Variable(
        "sign_k*theta_kk/sqrt(h)",
        1,
        "sign_k*(theta_k**2 - h)/(2*sqrt(h))",
        meaning="weak Ito I_kk over the two-point increment",
    ),
    Variable(
        "theta_k*(1+-eta)/2",
        2,
        equal="0",
        less="theta_k*(1 + eta)/2",
        greater="theta_k*(1 - eta)/2",
        meaning="three-point weak increment of one order of each pair",
    ),
    # The four-point increment has no mass at 0, and 1/xi = (4 h xi - xi^3)/h^2 with probability 1.
    Variable("xi_k", 1, "xi_k", meaning="four-point weak increment"),
    Variable(
        "xi^_kl",
        2,
        equal="(xi_k**3/h - 3*xi_k)/2",
        less="xi_k*(1 - eta)/2",
        greater="xi_k*(1 + eta)/2",
        meaning="weak Ito I_kl / xi_l",
    ),
    # One sign a step for all channels: a method mixed of two.
    Variable("eta*h", 0, "eta*h", meaning="step size with a sign"),
    Variable("eta*H_k", 1, "eta*H_k", meaning="space-time area with a sign for all channels"),
    Variable("eta*K_k", 1, "eta*K_k", meaning="space-time-time area with a sign for all channels"),
    # W(u h) - u W(h) is a bridge of the variance u (1 - u) h, and H of h/12, both independent of W(h).
    Variable("u*h", 0, "u*h", meaning="step size up to the random node"),
    Variable("I_k(u)", 1, "u*W_k + bridge*H_k", meaning="W_k up to the random node, in law"),
):
    register(_variable)


class _Functionals(_WithParts[tuple[str, ...]]):
    """Over a part of a step the expansions go on to the fourth term."""

    def __getitem__(self, label: str) -> tuple[str, ...]:
        base, share = of_part(label) or (label, None)
        found = self._whole[base]
        if share is None:
            return found
        return tuple(f"int pol_{n} dW_k@{share}" for n in range(int(base == "int phi_1 dW_k"), 4))


#: Labels of Gaussian functionals of the path with weights in L, of exponential tableaux: the labels
#: that multiply ``1, h L, (h L)^2, ...`` in their expansions.
FUNCTIONALS: Mapping[str, tuple[str, ...]] = _Functionals(
    {
        "int phi_0 dW_k": ("I_k", "I_k0/h", "I_k00/h^2"),
        "int phi_1 dW_k": ("I_k0/h", "I_k00/h^2"),
    }
)
