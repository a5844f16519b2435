"""Wang and Li's three-stage split-step Milstein methods: drift, noise and Ito correction in turn.

One step composes three maps in one of six orders:

- drift: ``Y -> Y + h f(Y)``;
- noise: ``Y -> Y + g(Y) W + (g(Y + g sqrt(h)) - g(Y)) W^2 / (2 sqrt(h))``;
- correction: ``Y -> Y - (g(Y + g sqrt(h)) - g(Y)) sqrt(h) / 2``.

Noise and correction use the same forward difference, whose biases of order 3/2 cancel in the mean:
with only one of the differences made central the strong order would be 1/2.
"""

from __future__ import annotations

from itertools import accumulate

from tableaux.blocks import Block, Coupling, Output
from tableaux.families.entries import method
from tableaux.tableau import Tableau

_CITATION = "Wang and Li, J. Comput. Appl. Math. 233 (2010), doi 10.1016/j.cam.2009.11.010"

# What each map adds, as label and weights of g(Y) and g(Y + g sqrt(h)).
_PARTS = {
    "noise": {"I_k": ("1", "0"), "J_kk/sqrt(h)": ("-1", "1")},
    "correction": {"sqrt(h)": ("1/2", "-1/2")},
}


def _composed(name: str, order: str, advice: str) -> Tableau:
    """The composition of the three maps, the first letter (d, n or c) being applied first."""
    steps = [{"d": "drift", "n": "noise", "c": "correction"}[letter] for letter in order]
    after_drift = [before > 0 for before in accumulate((s == "drift" for s in steps), initial=0)]
    blocks = [
        Block("drift", "drift", (0,))
        if step == "drift"
        else Block(step, "diffusion", (int(late), int(late)), "channel")
        for step, late in zip(steps, after_drift)
    ]
    couplings, outputs = [], [Output("drift", "h", (1,))]
    for place, step in enumerate(steps):
        for earlier in steps[:place]:
            if earlier == "drift":
                couplings.append(Coupling(step, "drift", "h", ((1,), (1,))))
            else:
                for label, weights in _PARTS[earlier].items():
                    rows = (weights,) if step == "drift" else (weights, weights)
                    selector = "all" if step == "drift" else "own"
                    couplings.append(Coupling(step, earlier, label, rows, selector))
        if step != "drift":
            couplings.append(Coupling(step, step, "sqrt(h)", ((0, 0), (1, 0)), "own"))
            outputs += [Output(step, label, weights) for label, weights in _PARTS[step].items()]
    return Tableau(
        name,
        tuple(blocks),
        tuple(couplings),
        tuple(outputs),
        noise="diagonal",
        orders={"diagonal": (1, 1)},
        citation=_CITATION,
        advice=advice,
    )


@method("WangLiA")
def wang_li_a(name: str) -> Tableau:
    """Drift, correction, noise."""
    return _composed(name, "dcn", "Split-step Milstein for diagonal noise; DFMilstein is cheaper.")


@method("WangLiB")
def wang_li_b(name: str) -> Tableau:
    """Noise, drift, correction."""
    return _composed(name, "ndc", "As WangLiA in another order.")


@method("WangLiC")
def wang_li_c(name: str) -> Tableau:
    """Drift, noise, correction."""
    return _composed(name, "dnc", "As WangLiA in another order.")


@method("WangLiD")
def wang_li_d(name: str) -> Tableau:
    """Correction, drift, noise."""
    return _composed(name, "cdn", "As WangLiA in another order.")


@method("WangLiE")
def wang_li_e(name: str) -> Tableau:
    """Correction, noise, drift."""
    return _composed(name, "cnd", "As WangLiA in another order.")


@method("WangLiF")
def wang_li_f(name: str) -> Tableau:
    """Noise, correction, drift."""
    return _composed(name, "ncd", "As WangLiA in another order.")
