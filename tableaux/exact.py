"""Exact numbers in and out: the coefficients of a method are never rounded.

Text is read by a parser of our own for a tiny arithmetic language.  ``sympy.sympify`` was the
obvious alternative; it evaluates its input as Python, and a tableau file may come from a stranger.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from numbers import Rational as RationalNumber
from typing import Any

import sympy

from tableaux.errors import TableauError
from tableaux.phi import PHIS, Phi, combination

__all__ = ["Entry", "Matrix", "Vector", "exact", "exact_matrix", "exact_vector", "write_exact"]

Entry = Any  # a sympy.Expr; sympy carries no types
Vector = tuple[Entry, ...]
Matrix = tuple[Vector, ...]

_LARGEST_EXPONENT = 64
_FUNCTIONS: dict[str, Any] = {
    "sqrt": sympy.sqrt,
    "log": sympy.log,
    **{p.__name__: p for p in PHIS},
}
_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
}


def exact(value: Any, *, where: str = "coefficient", floats: bool = False) -> Entry:
    """The exact number that `value` stands for.

    Parameters
    ----------
    value : int, Fraction, str, sympy.Expr or (only with `floats`) float
        Text may use integers, ``+ - * / **``, parentheses, ``sqrt(...)``, ``log(...)``, names of free
        symbols, and the phi functions of exponential tableaux, ``phi_1(z/2)``: see `tableaux.phi`.
    where : str
        How an error message names the place of this number.
    floats : bool
        Accept decimals and take them at their shortest decimal expansion: ``0.1`` is 1/10.

    Raises
    ------
    TableauError
        If the value is inexact, infinite, complex or not arithmetic.
    """
    if isinstance(value, bool):
        raise TableauError(f"{where}: {value!r} is a truth value; write 0 or 1")
    if isinstance(value, (int, RationalNumber)):
        fraction = Fraction(value)
        return sympy.Rational(fraction.numerator, fraction.denominator)
    if isinstance(value, float):
        return _decimal(value, where, floats)
    if isinstance(value, str):
        return _checked(_read(value, where, floats), value, where)
    if isinstance(value, sympy.Expr):
        if value.has(sympy.Float):
            if not floats:
                raise TableauError(_inexact(value, where))
            value = value.xreplace({f: sympy.Rational(str(f)) for f in value.atoms(sympy.Float)})
        return _checked(value, value, where)
    if hasattr(value, "item") and not hasattr(value, "__len__"):  # a NumPy scalar
        return exact(value.item(), where=where, floats=floats)
    raise TableauError(
        f"{where}: cannot read {value!r} ({type(value).__name__}) as an exact number; "
        'give an int, a Fraction, a sympy expression or text such as "3/4" or "sqrt(6)/5"'
    )


def exact_vector(values: Iterable[Any], *, where: str = "vector", floats: bool = False) -> Vector:
    """Read a sequence of exact numbers; see `exact`."""
    if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__"):
        raise TableauError(f"{where}: expected a sequence of numbers, got {values!r}")
    return tuple(
        exact(value, where=f"{where}, entry {i + 1}", floats=floats)
        for i, value in enumerate(values)
    )


def exact_matrix(
    rows: Iterable[Sequence[Any]], *, where: str = "matrix", floats: bool = False
) -> Matrix:
    """Read a rectangular array of exact numbers; see `exact`."""
    if isinstance(rows, sympy.MatrixBase):
        rows = rows.tolist()
    if isinstance(rows, (str, bytes)) or not hasattr(rows, "__iter__"):
        raise TableauError(f"{where}: expected a sequence of rows, got {rows!r}")
    matrix = tuple(
        exact_vector(row, where=f"{where}, row {i + 1}", floats=floats)
        for i, row in enumerate(rows)
    )
    lengths = {len(row) for row in matrix}
    if len(lengths) > 1:
        raise TableauError(f"{where}: rows have different lengths {sorted(lengths)}")
    return matrix


def write_exact(entry: Entry) -> str:
    """Write an exact number as text that `exact` reads back to an equal number."""
    return str(entry)


def _decimal(value: float, where: str, floats: bool) -> Entry:
    if not math.isfinite(value):
        raise TableauError(f"{where}: {value!r} is not a finite number")
    if not floats:
        raise TableauError(_inexact(value, where))
    return sympy.Rational(repr(value))


def _inexact(value: Any, where: str) -> str:
    return (
        f"{where}: {value!r} is a rounded decimal, and an order cannot be proved from it; "
        'write it exactly ("3/4", "sqrt(6)/5"), or pass floats=True to take the decimal at its word'
    )


def _checked(entry: Entry, value: Any, where: str) -> Entry:
    entry = sympy.expand(entry)
    if not isinstance(entry, sympy.Expr):
        raise TableauError(f"{where}: {value!r} is not a number")
    if entry.has(sympy.nan, sympy.zoo, sympy.oo, -sympy.oo):
        raise TableauError(f"{where}: {value!r} is not a finite number")
    if entry.has(Phi):
        try:
            combination(entry)
        except TableauError as error:
            raise TableauError(f"{where}: {error}") from None
    if not entry.free_symbols and entry.is_real is not True:
        raise TableauError(f"{where}: {value!r} is not a real number")
    return entry


def _read(text: str, where: str, floats: bool) -> Entry:
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError) as error:
        raise TableauError(f"{where}: cannot read {text!r} as a number: {error}") from None

    def refuse(what: str) -> TableauError:
        return TableauError(
            f"{where}: {what} in {text!r}; allowed are integers, + - * / **, parentheses, "
            "sqrt(...), log(...) and names of free symbols"
        )

    def visit(node: ast.expr) -> Entry:
        if isinstance(node, ast.Constant):
            if type(node.value) is int:
                return sympy.Integer(node.value)
            if type(node.value) is float:
                if not floats:
                    raise TableauError(_inexact(text, where))
                return sympy.Rational(ast.unparse(node))
            raise refuse(f"{node.value!r}")
        if isinstance(node, ast.Name):
            return sympy.Symbol(node.id)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.UAdd, ast.USub)):
            operand = visit(node.operand)
            return -operand if isinstance(node.op, ast.USub) else operand
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else ""
            function = _FUNCTIONS.get(name)
            if function is not None and len(node.args) == 1 and not node.keywords:
                return function(visit(node.args[0]))
            raise refuse(f"the call {ast.unparse(node)!r}")
        if isinstance(node, ast.BinOp):
            left, right = visit(node.left), visit(node.right)
            if isinstance(node.op, ast.Div):
                if right.is_zero:
                    raise refuse("a division by zero")
                return left / right
            if isinstance(node.op, ast.Pow):
                if not right.is_Rational or abs(right) > _LARGEST_EXPONENT:
                    raise refuse(f"the exponent {right}")
                return left**right
            operation = _BINARY.get(type(node.op))
            if operation is not None:
                return operation(left, right)
        raise refuse(f"{ast.unparse(node)!r}")

    return visit(tree.body)
