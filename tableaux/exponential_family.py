"""Exponential methods with free coefficients of their phi functions: where a design begins.

`tableaux.design.entry_conditions` and `stiff_conditions` give what they must satisfy,
`tableaux.design.solve` the branches on which they do.
"""

from __future__ import annotations

from collections.abc import Sequence

import sympy

from tableaux.blocks import Block, Coupling, Output
from tableaux.errors import TableauError, unknown
from tableaux.exact import exact
from tableaux.phi import phi
from tableaux.tableau import Tableau

__all__ = ["exponential_family"]


def exponential_family(
    nodes: Sequence[str | int],
    *,
    phis: Sequence[int] = (1, 2),
    noise: str = "additive",
    name: str = "exponential family",
) -> Tableau:
    """All explicit exponential methods with given nodes and phi functions.

    ``H_i = phi_0(c_i z) X + h sum_j a_ij(z) N(H_j) + g (p_i int phi_0 dW + q_i int phi_1 dW)``,
    ``X+ = phi_0(z) X + h sum_j b_j(z) N(H_j) + g int phi_0 dW``, where

    - ``a_ij(z)`` is the sum of ``ai j_k phi_k(c_i z)`` over k, with the symbols ``a21_1``, ...;
    - ``b_j(z)`` that of ``bj_k phi_k(z)``, with the symbols ``b1_1``, ...

    Parameters
    ----------
    nodes : sequence of str or int
        c, exact; the arguments of phi functions are no unknowns.
    phis : sequence of int
        Which phi functions occur in a and b.
    noise : {"additive", "none"}
        With additive noise a g that depends on time is interpolated as in `SETDRK2`.
    name : str

    Returns
    -------
    Tableau
        With free symbols; `Tableau.substitute` fixes them.

    Examples
    --------
    >>> print(exponential_family([0, "1/2"], phis=[1], noise="none"))
    exponential family: Ito, none noise
      drift: drift, once; c = 0  1/2
      drift <- drift * h
                         0  0
          a21_1*phi_1(z/2)  0
      X+ <- drift * h:  b1_1*phi_1(z)  b2_1*phi_1(z)
    """
    if noise not in ("additive", "none"):
        raise TableauError(unknown("noise of an exponential family", noise, ("additive", "none")))
    c = tuple(exact(node, where="nodes of an exponential family") for node in nodes)
    if not c:
        raise TableauError("an exponential family has at least one node")
    stages = len(c)
    zero = sympy.Integer(0)

    def free(text: str) -> sympy.Symbol:
        return sympy.Symbol(text)

    a = tuple(
        tuple(
            sum((free(f"a{i + 1}{j + 1}_{k}") * phi(k, c[i]) for k in phis), zero)
            if j < i
            else zero
            for j in range(stages)
        )
        for i in range(stages)
    )
    b = tuple(sum((free(f"b{j + 1}_{k}") * phi(k) for k in phis), zero) for j in range(stages))
    blocks = [Block("drift", "drift", c)]
    couplings = [Coupling("drift", "drift", "h", a)] if stages > 1 else []
    outputs = [Output("drift", "h", b)]
    if noise == "additive":
        blocks.append(Block("diffusion", "diffusion", (1, 0)))
        for letter, label in (("p", "int phi_0 dW_k"), ("q", "int phi_1 dW_k")):
            rows = tuple((zero, free(f"{letter}{i + 1}")) for i in range(stages))
            couplings.append(Coupling("drift", "diffusion", label, rows))
        outputs += [
            Output("diffusion", "int phi_0 dW_k", (1, 0)),
            Output("diffusion", "I_k0/h", ("-phi_0(z)", "phi_0(z)")),
        ]
    return Tableau(name, tuple(blocks), tuple(couplings), tuple(outputs), noise=noise)
