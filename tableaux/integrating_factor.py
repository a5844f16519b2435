r"""The Lawson form of a method: the method, applied to what the linear part leaves.

With :math:`V(t) = e^{-(t - t_n) L} X(t)` the equation ``dX = (L X + N) dt + g dW`` loses its linear
part. A method for V, written in X, has phi_0 of differences of nodes as entries.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tableaux.errors import TableauError
from tableaux.phi import phi
from tableaux.tableau import ADDITIVE_CLASSES, Tableau

__all__ = ["lawson"]


def lawson(tableau: Tableau, name: str = "", **changes: Any) -> Tableau:
    """The Lawson (integrating-factor) form of an explicit one-step method.

    Parameters
    ----------
    tableau : Tableau
    name : str
        By default "Lawson" and the method's own.
    **changes
        Other attributes to set, such as ``advice``.

    Returns
    -------
    Tableau
        With the claims of the method but those for classes without explicit time: what is left of
        such an equation depends on time.

    Notes
    -----
    A coupling from a later node to an earlier one moves a value backwards, by phi_0 of a negative
    multiple of z: exact, but enormous for stiff L. Such methods, SRA1 among them, have a Lawson form
    of use for moderate L only.

    Raises
    ------
    TableauError
        For implicit and exponential methods, and those with memory.

    Examples
    --------
    >>> import tableaux
    >>> print(tableaux.lawson(tableaux.catalogue["EM"]))
    LawsonEM: Ito, general noise [general: strong 1/2, weak 1; additive: strong 1, weak 1]
      drift: drift, once; c = 0
      diffusion: diffusion, once; c = 0
      X+ <- diffusion * I_k:  phi_0(z)
      X+ <- drift * h:  phi_0(z)
      advice: The Lawson form of EM.
      source: Lawson, SIAM J. Numer. Anal. 4 (1967) 372-380
    """
    if tableau.implicit or tableau.start is not None or tableau.exponential:
        raise TableauError(
            f"tableau {tableau.name!r} is implicit, has memory, or is exponential already: only "
            "explicit one-step methods have a Lawson form"
        )
    nodes = {block.name: block.nodes for block in tableau.blocks}
    couplings = tuple(
        replace(
            c,
            matrix=tuple(
                tuple(entry * phi(0, there - here) for entry, here in zip(row, nodes[c.source]))
                for row, there in zip(c.matrix, nodes[c.target])
            ),
        )
        for c in tableau.couplings
    )
    outputs, embedded = (
        tuple(
            replace(
                o,
                weights=tuple(w * phi(0, 1 - here) for w, here in zip(o.weights, nodes[o.source])),
            )
            for o in several
        )
        for several in (tableau.outputs, tableau.embedded)
    )
    orders = {k: claim for k, claim in tableau.orders.items() if k not in ADDITIVE_CLASSES}
    if len(orders) < len(tableau.orders):
        orders["none"] = tableau.claimed("none")
    about = {
        "citation": "Lawson, SIAM J. Numer. Anal. 4 (1967) 372-380",
        "advice": f"The Lawson form of {tableau.name}.",
        **changes,
    }
    return replace(
        tableau,
        name=name or f"Lawson{tableau.name}",
        couplings=couplings,
        outputs=outputs,
        embedded=embedded,
        orders=orders,
        **about,
    )
