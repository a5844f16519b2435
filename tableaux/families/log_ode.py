r"""The log-ODE method: one step is the flow of one vector field.

.. math::

   X_{n+1} = z(1), \qquad z(0) = X_n, \qquad
   z' = f(z) h + \sum_k g_k(z) W_k + \sum_{k,l} g_l'(z) g_k(z) A_{kl},

the last sum being the Lie brackets ``[g_k, g_l] A_kl`` over ``k < l``, as A is antisymmetric.  The
derivative is taken by a central difference, ``sqrt(h)/2 (g_l(z + d_l) - g_l(z - d_l))`` with
``d_l = sum_k g_k(z) A_kl/sqrt(h)``, and the flow by a Runge-Kutta method in one step of length 1.

A forward difference would not do: it leaves ``g_l''(d_l, d_l) sqrt(h)/2``, whose mean is of order
3/2, so that the strong order drops to 1/2 and the weak one too.
"""

from __future__ import annotations

from fractions import Fraction

import sympy

from tableaux.blocks import Block, Coupling, Output
from tableaux.errors import TableauError
from tableaux.exact import exact_matrix, exact_vector
from tableaux.families.entries import method
from tableaux.tableau import Orders, Tableau

#: Matrix and weights of the method for the flow, by its number of stages, and the orders in which
#: the whole differs.  Without noise it is that method.  For additive noise Heun's has by luck the
#: mean of f'' along the path, which the straight path of the exact flow has not.
FLOWS: dict[int, tuple[list[list[object]], list[object], Orders]] = {
    2: ([[0, 0], [1, 0]], ["1/2", "1/2"], {"additive": (1, 2)}),
    4: (
        [[0, 0, 0, 0], ["1/2", 0, 0, 0], [0, "1/2", 0, 0], [0, 0, 1, 0]],
        ["1/6", "1/3", "1/3", "1/6"],
        {"none": (4, 4)},
    ),
}


@method("LogODE")
def log_ode(name: str, stages: int = 2) -> Tableau:
    """The flow by Heun's method (2 stages) or by RK4 (4 stages).

    For a strong order beyond 1 the flow would need the brackets ``[f, g_k]`` and the threefold
    ones; RK4 follows it more closely where the fields vary fast, at twice the cost.
    """
    if stages not in FLOWS:
        raise TableauError(f"the flow has 2 (Heun) or 4 (RK4) stages, not {stages}")
    rows, row, better = FLOWS[stages]
    A, b = exact_matrix(rows, where="A"), exact_vector(row, where="b")
    nodes = tuple(sympy.Add(*entries) for entries in A)
    half = sympy.Rational(1, 2)
    # The bracket's stages: those at z + d for every stage of the flow, then those at z - d.
    difference = tuple((*(half * a for a in r), *(-half * a for a in r)) for r in A)
    shifts = tuple(
        tuple(sympy.Integer(sign * (i == j)) for j in range(stages))
        for sign in (1, -1)
        for i in range(stages)
    )
    into = [
        Coupling(target, source, label, matrix * copies)
        for target, copies in (("drift", 1), ("noise", 1), ("bracket", 2))
        for source, label, matrix in (
            ("drift", "h", A),
            ("noise", "I_k", A),
            ("bracket", "sqrt(h)", difference),
        )
    ]
    return Tableau(
        name,
        (
            Block("drift", "drift", nodes),
            Block("noise", "diffusion", nodes),
            Block("bracket", "diffusion", nodes * 2, "channel"),
        ),
        (*into, Coupling("bracket", "noise", "A_kl/sqrt(h)", shifts)),
        (
            Output("drift", "h", b),
            Output("noise", "I_k", b),
            Output("bracket", "sqrt(h)", (*(half * w for w in b), *(-half * w for w in b))),
        ),
        calculus="stratonovich",
        orders={"general": (Fraction(1), Fraction(1)), **better},
        citation="Castell and Gaines, Ann. Inst. H. Poincare Probab. Statist. 32 (1996) 231-250",
        advice="Strong order 1 for any Stratonovich noise; it needs the Levy areas.",
    )
