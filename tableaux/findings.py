"""What is found of a tableau: the conditions that fail, its orders, its leading errors."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import sympy

from tableaux.constraints import (
    Combination,
)
from tableaux.rooted_trees import Forest

__all__ = ["Failure", "PrincipalError", "Verdict"]


@dataclass(frozen=True)
class Failure:
    """A condition that does not hold.

    Attributes
    ----------
    kind : {"mean square", "mean", "weak", "deterministic"}
    order : Fraction
        The order of the tree or forest.
    combination : Combination
        Which trees; for most noise classes a single forest.
    residual : sympy.Expr
        Weight minus integral at h = 1: its root mean square for "mean square", its mean otherwise.
    detail : str
        For "mean square": the difference itself, in words.
    """

    kind: str
    order: Fraction
    combination: Combination
    residual: sympy.Expr
    detail: str = ""

    @property
    def forest(self) -> Forest:
        """The forest that leads the condition."""
        return self.combination.forest

    def __str__(self) -> str:
        sides = {
            "mean square": "Phi - phi in mean square",
            "mean": "E Phi - E phi",
            "weak": "E prod Phi - E prod phi",
            "deterministic": "Phi - phi",
        }
        return f"{self.combination}  (order {self.order}): {sides[self.kind]} = {self.residual}"


@dataclass(frozen=True)
class Verdict:
    """What a tableau achieves in one noise class.

    Attributes
    ----------
    noise : str
    strong, weak : Fraction or None
        None where there is no such order at all: see `note`.
    strong_capped, weak_capped : bool
        Whether the search stopped there, so that the order may be higher.
    failing : tuple of Failure
        The first conditions that fail, strong ones before weak ones.
    note : str
    """

    noise: str
    strong: Fraction | None
    weak: Fraction | None
    strong_capped: bool
    weak_capped: bool
    failing: tuple[Failure, ...]
    note: str = ""

    def __str__(self) -> str:
        strong = "none" if self.strong is None else f"{self.strong}{'+' * self.strong_capped}"
        weak = "none" if self.weak is None else f"{self.weak}{'+' * self.weak_capped}"
        return f"{self.noise:<12} strong {strong:<6} weak {weak}"


@dataclass(frozen=True)
class PrincipalError:
    """The leading terms of the local error.

    Attributes
    ----------
    kind : {"strong", "weak", "deterministic"}
    order : Fraction
        Local order of the terms.
    terms : tuple of (Combination, value)
        Error coefficients ``residual / symmetry``; root mean squares for "strong".
    """

    kind: str
    order: Fraction
    terms: tuple[tuple[Combination, sympy.Expr], ...]

    @property
    def norm(self) -> sympy.Expr:
        """Euclidean norm of the coefficients, exact."""
        return sympy.sqrt(sympy.nsimplify(sum((v**2 for _, v in self.terms), sympy.Integer(0))))

    def __str__(self) -> str:
        return f"{self.kind}: {len(self.terms)} terms at order {self.order}, norm {float(self.norm):.4g}"
