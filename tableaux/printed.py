"""Tableaux from the arrays that papers print.

Each constructor takes arrays under the names that the literature gives them and builds the one
general type.  Entries may be ints, Fractions, sympy numbers or text; ``floats=True`` is the caller's
word that decimals are meant as they stand.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import sympy

from tableaux.blocks import Block, Coupling, Output
from tableaux.exact import Matrix, Vector, exact_matrix, exact_vector

if TYPE_CHECKING:
    from tableaux.tableau import Tableau

__all__ = ["PrintedForms"]

Rows = Iterable[Sequence[Any]]
Row = Iterable[Any]


class PrintedForms:
    """Constructors of `tableaux.Tableau` for the forms in which the literature prints methods."""

    @classmethod
    def rk(
        cls,
        name: str,
        A: Rows,
        b: Row,
        c: Row | None = None,
        *,
        b_hat: Row | None = None,
        floats: bool = False,
        **about: Any,
    ) -> Tableau:
        """A deterministic Runge-Kutta method (Butcher 1963): the limit without noise.

        ``H_i = X + h sum_j A_ij f(t + c_j h, H_j)``, ``X+ = X + h sum_i b_i f(t + c_i h, H_i)``;
        `b_hat` are the weights of an embedded method; `c` defaults to the row sums of `A`.
        """
        A_, b_ = _matrix("A", A, floats), _vector("b", b, floats)
        embedded = () if b_hat is None else (Output("drift", "h", _vector("b_hat", b_hat, floats)),)
        return cls._made(
            name,
            (Block("drift", "drift", _nodes("c", c, A_, floats)),),
            (Coupling("drift", "drift", "h", A_),),
            (Output("drift", "h", b_),),
            embedded=embedded,
            **{"noise": "none", **about},
        )

    @classmethod
    def shared(
        cls,
        name: str,
        A: Rows,
        b: Row,
        *,
        B: Rows | None = None,
        beta: Row | None = None,
        c: Row | None = None,
        noise_label: str = "I_k",
        floats: bool = False,
        **about: Any,
    ) -> Tableau:
        """Drift and diffusion at the same stages, as Euler-Maruyama, Heun and the midpoint rule.

        ``H_i = X + sum_j A_ij f_j h + sum_j B_ij g_j I``, ``X+ = X + sum_i b_i f_i h + beta_i g_i I``;
        `B` and `beta` default to `A` and `b`, so that a deterministic method is applied to h and W
        alike, which converges to the Stratonovich solution.
        """
        A_, b_ = _matrix("A", A, floats), _vector("b", b, floats)
        B_ = A_ if B is None else _matrix("B", B, floats)
        beta_ = b_ if beta is None else _vector("beta", beta, floats)
        nodes = _nodes("c", c, A_, floats)
        couplings = [
            Coupling(target, source, label, matrix)
            for target in ("drift", "diffusion")
            for source, label, matrix in (("drift", "h", A_), ("diffusion", noise_label, B_))
        ]
        return cls._made(
            name,
            (Block("drift", "drift", nodes), Block("diffusion", "diffusion", nodes)),
            couplings,
            (Output("drift", "h", b_), Output("diffusion", noise_label, beta_)),
            **about,
        )

    @classmethod
    def additive(
        cls,
        name: str,
        A: Rows,
        b: Row,
        stages: dict[str, Row],
        outputs: dict[str, Any],
        *,
        c: Row | None = None,
        noise_node: Any = 0,
        embedded: Row | None = None,
        floats: bool = False,
        **about: Any,
    ) -> Tableau:
        """Drift stages shifted by functionals of the noise (Foster, dos Reis, Strange 2023).

        ``H_i = X + h sum_j A_ij f_j + g sum_v stages[v]_i RV_v``,
        ``X+ = X + h sum_i b_i f_i + g sum_v outputs[v] RV_v``, with g at the one node `noise_node`;
        `embedded` are further drift weights, for an error estimate.
        """
        A_, b_ = _matrix("A", A, floats), _vector("b", b, floats)
        couplings = [Coupling("drift", "drift", "h", A_)]
        for label, shifts in stages.items():
            column = tuple((e,) for e in _vector(f"stages[{label!r}]", shifts, floats))
            couplings.append(Coupling("drift", "noise", label, column))
        noise = [
            Output("noise", label, _vector(f"outputs[{label!r}]", (weight,), floats))
            for label, weight in outputs.items()
        ]
        second = (
            ()
            if embedded is None
            else (Output("drift", "h", _vector("embedded", embedded, floats)), *noise)
        )
        return cls._made(
            name,
            (
                Block("drift", "drift", _nodes("c", c, A_, floats)),
                Block("noise", "diffusion", (noise_node,)),
            ),
            couplings,
            (Output("drift", "h", b_), *noise),
            embedded=second,
            **{"noise": "additive", **about},
        )

    @classmethod
    def sra(
        cls,
        name: str,
        A0: Rows,
        B0: Rows,
        alpha: Row,
        beta1: Row,
        beta2: Row,
        *,
        c0: Row | None = None,
        c1: Row,
        floats: bool = False,
        **about: Any,
    ) -> Tableau:
        """Roessler's SRA form for additive noise (SIAM J. Numer. Anal. 48(3), 2010).

        ``H_i = X + sum A0_ij f(t + c0_j h, H_j) h + sum B0_ij g(t + c1_j h) I_k0/h``;
        ``X+ = X + sum alpha_i f_i h + sum (beta1_i I_k + beta2_i I_k0/h) g(t + c1_i h)``.
        """
        A0_ = _matrix("A0", A0, floats)
        return cls._made(
            name,
            (
                Block("drift", "drift", _nodes("c0", c0, A0_, floats)),
                Block("noise", "diffusion", _vector("c1", c1, floats)),
            ),
            (
                Coupling("drift", "drift", "h", A0_),
                Coupling("drift", "noise", "I_k0/h", _matrix("B0", B0, floats)),
            ),
            (
                Output("drift", "h", _vector("alpha", alpha, floats)),
                Output("noise", "I_k", _vector("beta1", beta1, floats)),
                Output("noise", "I_k0/h", _vector("beta2", beta2, floats)),
            ),
            **{"noise": "additive", **about},
        )

    @classmethod
    def sri(
        cls,
        name: str,
        A0: Rows,
        A1: Rows,
        B0: Rows,
        B1: Rows,
        alpha: Row,
        beta1: Row,
        beta2: Row,
        beta3: Row,
        beta4: Row,
        *,
        c0: Row | None = None,
        c1: Row | None = None,
        floats: bool = False,
        **about: Any,
    ) -> Tableau:
        """Roessler's SRI form for diagonal noise, Ito (SIAM J. Numer. Anal. 48(3), 2010).

        ``H0_i = X + sum A0_ij f(H0_j) h + sum_k sum B0_ij g_k(Hk_j) I_k0/h``;
        ``Hk_i = X + sum A1_ij f(H0_j) h + sum B1_ij g_k(Hk_j) sqrt(h)``;
        ``X+ = X + sum alpha_i f_i h
        + sum (beta1_i I_k + beta2_i I_kk/sqrt(h) + beta3_i I_k0/h + beta4_i I_kkk/h) g_k(Hk_i)``.
        """
        A0_, A1_ = _matrix("A0", A0, floats), _matrix("A1", A1, floats)
        return cls._made(
            name,
            (
                Block("drift", "drift", _nodes("c0", c0, A0_, floats)),
                Block("diffusion", "diffusion", _nodes("c1", c1, A1_, floats), "channel"),
            ),
            (
                Coupling("drift", "drift", "h", A0_),
                Coupling("drift", "diffusion", "I_k0/h", _matrix("B0", B0, floats)),
                Coupling("diffusion", "drift", "h", A1_),
                Coupling("diffusion", "diffusion", "sqrt(h)", _matrix("B1", B1, floats), "own"),
            ),
            (
                Output("drift", "h", _vector("alpha", alpha, floats)),
                Output("diffusion", "I_k", _vector("beta1", beta1, floats)),
                Output("diffusion", "I_kk/sqrt(h)", _vector("beta2", beta2, floats)),
                Output("diffusion", "I_k0/h", _vector("beta3", beta3, floats)),
                Output("diffusion", "I_kkk/h", _vector("beta4", beta4, floats)),
            ),
            **{"noise": "diagonal", **about},
        )

    @classmethod
    def ri(
        cls,
        name: str,
        A0: Rows,
        A1: Rows,
        A2: Rows,
        B0: Rows,
        B1: Rows,
        B2: Rows,
        alpha: Row,
        beta1: Row,
        beta2: Row,
        beta3: Row,
        beta4: Row,
        *,
        c0: Row | None = None,
        c1: Row | None = None,
        c2: Row | None = None,
        pair: str = "I^_kl/sqrt(h)",
        floats: bool = False,
        **about: Any,
    ) -> Tableau:
        """Roessler's RI form for weak order 2, Ito, general noise (SIAM J. Numer. Anal. 47(3), 2009).

        ``H0_i = X + sum A0_ij f(H0_j) h + sum_k sum B0_ij g_k(Hk_j) I_k``;
        ``Hk_i = X + sum A1_ij f(H0_j) h + sum B1_ij g_k(Hk_j) sqrt(h)``;
        ``Hhat_k_i = X + sum A2_ij f(H0_j) h + sum_(l != k) sum B2_ij g_l(Hl_j) I_kl/sqrt(h)``;
        ``X+ = X + sum alpha_i f_i h + sum (beta1_i I_k + beta2_i I_kk/sqrt(h)) g_k(Hk_i)
        + sum (beta3_i I_k + beta4_i sqrt(h)) g_k(Hhat_k_i)``, all I discrete.
        """
        return cls._weak_form(
            name,
            (A0, A1, A2),
            (c0, c1, c2),
            {
                ("drift", "theta_k", "all"): B0,
                ("own", "sqrt(h)", "own"): B1,
                ("mixed", pair, "other"): B2,
            },
            alpha,
            {
                ("own", "theta_k"): beta1,
                ("own", "theta_kk/sqrt(h)"): beta2,
                ("mixed", "theta_k"): beta3,
                ("mixed", "sqrt(h)"): beta4,
            },
            floats,
            {"noise": "general", **about},
        )

    @classmethod
    def rs(
        cls,
        name: str,
        A0: Rows,
        A1: Rows,
        A2: Rows,
        B0: Rows,
        B1: Rows,
        B2: Rows,
        B3: Rows,
        alpha: Row,
        beta1: Row,
        beta2: Row,
        *,
        c0: Row | None = None,
        c1: Row | None = None,
        c2: Row | None = None,
        pair: str = "A^_kl/sqrt(h)",
        floats: bool = False,
        **about: Any,
    ) -> Tableau:
        """Roessler's RS form for weak order 2, Stratonovich (BIT 47, 2007).

        ``H0_i = X + sum A0_ij f(H0_j) h + sum_k sum B0_ij g_k(Hk_j) J_k``;
        ``Hk_i = X + sum A1_ij f(H0_j) h + sum B1_ij g_k(Hk_j) J_k
        + sum_(l != k) sum B3_ij g_l(Hl_j) J_l``;
        ``Hhat_k_i = X + sum A2_ij f(H0_j) h + sum_(l != k) sum B2_ij g_l(Hl_j) J_kl/sqrt(h)``;
        ``X+ = X + sum alpha_i f_i h + sum beta1_i J_k g_k(Hk_i) + sum beta2_i sqrt(h) g_k(Hhat_k_i)``,
        all J discrete; J_kl must be antisymmetric.
        """
        return cls._weak_form(
            name,
            (A0, A1, A2),
            (c0, c1, c2),
            {
                ("drift", "theta_k", "all"): B0,
                ("own", "theta_k", "own"): B1,
                ("own", "theta_k", "other"): B3,
                ("mixed", pair, "other"): B2,
            },
            alpha,
            {("own", "theta_k"): beta1, ("mixed", "sqrt(h)"): beta2},
            floats,
            {"noise": "general", "calculus": "stratonovich", **about},
        )

    @classmethod
    def _weak_form(
        cls,
        name: str,
        A: tuple[Rows, Rows, Rows],
        c: tuple[Row | None, Row | None, Row | None],
        noise: dict[tuple[str, str, str], Rows],
        alpha: Row,
        outputs: dict[tuple[str, str], Row],
        floats: bool,
        about: dict[str, Any],
    ) -> Tableau:
        """What RI and RS share: drift stages, and for each channel stages of its own and mixed ones.

        Every stage hears of the noise through the values at the stages of its own kind.
        """
        names = ("drift", "own", "mixed")
        A_ = [_matrix(f"A{i}", rows, floats) for i, rows in enumerate(A)]
        nodes = [_nodes(f"c{i}", row, rows, floats) for i, (row, rows) in enumerate(zip(c, A_))]
        return cls._made(
            name,
            (
                Block("drift", "drift", nodes[0]),
                Block("own", "diffusion", nodes[1], "channel"),
                Block("mixed", "diffusion", nodes[2], "channel"),
            ),
            (
                *(Coupling(block, "drift", "h", rows) for block, rows in zip(names, A_)),
                *(
                    Coupling(
                        target,
                        "own",
                        label,
                        _matrix(f"{label} into {target}", rows, floats),
                        selector,
                    )
                    for (target, label, selector), rows in noise.items()
                ),
            ),
            (
                Output("drift", "h", _vector("alpha", alpha, floats)),
                *(
                    Output(source, label, _vector(f"{label} of {source}", row, floats))
                    for (source, label), row in outputs.items()
                ),
            ),
            **about,
        )

    @classmethod
    def _made(
        cls,
        name: str,
        blocks: Iterable[Block],
        couplings: Iterable[Coupling],
        outputs: Iterable[Output],
        **about: Any,
    ) -> Tableau:
        # The mixin's one subclass is Tableau; importing it at the top would be a circle.
        return cls(name, tuple(blocks), tuple(couplings), tuple(outputs), **about)  # type: ignore


def _matrix(name: str, rows: Rows, floats: bool) -> Matrix:
    return exact_matrix(rows, where=name, floats=floats)


def _vector(name: str, row: Row, floats: bool) -> Vector:
    return exact_vector(row, where=name, floats=floats)


def _nodes(name: str, given: Row | None, A: Matrix, floats: bool) -> Vector:
    """The nodes as given, or the row sums of the drift's matrix."""
    if given is not None:
        return _vector(name, given, floats)
    return tuple(sympy.Add(*row) for row in A)
