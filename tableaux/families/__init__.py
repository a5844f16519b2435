"""The methods of the literature and ours, one file a family; together they are `catalogue`."""

from tableaux.families import (  # noqa: F401  (each import enters its methods)
    adams,
    burrage,
    commutative,
    debrabant,
    designed,
    deterministic,
    euler,
    exact_stages,
    exponential,
    implicit,
    implicit_additive,
    implicit_weak,
    kloeden_platen,
    komori,
    log_ode,
    milstein,
    multistep_samplers,
    platen,
    published_samplers,
    randomised,
    reverse,
    roessler_strong,
    shifted,
    singlestep_samplers,
    sra,
    sri,
    stabilised,
    tang_xiao,
    three_stage_milstein,
    tocino,
    weak,
    weak_three,
)
from tableaux.families.entries import catalogue

__all__ = ["catalogue"]
