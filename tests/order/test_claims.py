"""Every claim of the catalogue is proved, class by class, and nothing more is provable."""

from __future__ import annotations

import pytest

from tableaux import NOISE_CLASSES, catalogue, order

#: Those whose proof takes ten seconds and more.
LONG = ("SASolver3",)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n in LONG)) for n in sorted(catalogue)]
)
def test_every_claimed_order_is_proved_and_no_higher_one_is(name: str) -> None:
    tableau = catalogue[name]
    classes = [noise for noise in NOISE_CLASSES if tableau.accepts(noise)]
    if tableau.noise == "additive" and not tableau.exponential:
        classes.append("martingale")
    classes += ["kinetic"] * ("kinetic" in tableau.orders)
    for noise in classes:
        verdict = order(tableau).by_noise[noise]
        assert tableau.claimed(noise) == (verdict.strong, verdict.weak), noise
    if "constant" in tableau.orders:
        verdict = order(tableau, noise="additive", autonomous=True).by_noise["additive"]
        assert tableau.claimed("constant") == (verdict.strong, verdict.weak)


def test_a_forward_difference_ruins_the_stratonovich_milstein_method() -> None:
    # As in torchsde and others: g(X + g sqrt(h)) - g(X), times J_kk / sqrt(h).
    from tableaux import Block, Coupling, Output, Tableau

    forward = Tableau(
        "forward",
        (Block("drift", "drift", (0,)), Block("diffusion", "diffusion", (0, 0), "channel")),
        (Coupling("diffusion", "diffusion", "sqrt(h)", ((0, 0), (1, 0)), "own"),),
        (
            Output("drift", "h", (1,)),
            Output("diffusion", "I_k", (1, 0)),
            Output("diffusion", "J_kk/sqrt(h)", (-1, 1)),
        ),
        calculus="stratonovich",
        noise="diagonal",
    )
    report = order(forward)
    assert (report.strong, report.weak) == (1 / 2, 1 / 2)
