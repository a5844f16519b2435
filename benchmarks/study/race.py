"""Who is nearer to its limit, decided while samples come in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.study.limit import Estimate

__all__ = ["LOOKS", "SURE", "Race"]

#: How often a pair is tested at most: with n, 2n, 4n, ... samples.
LOOKS = 5
#: Standard errors by which one of a pair has to be ahead, at any look.
SURE = 3.5
# Standard errors by which what was seen may be short of the truth, for a race to be worth its cost.
_HOPE = 2.0


@dataclass
class Race:
    """Some samplers of ours against their rivals, at one budget.

    A pair is decided at the first look at which one of it is ahead of the other by `SURE` standard errors of
    the difference, and is not looked at again.  How often is a given one of two equal samplers found
    ahead?  A lead has the law of Student (a narrower one where both are at their limit), with 31, 63, ...,
    511 degrees of freedom at the looks: at each with probability 0.0007, 0.0004, 0.0003, 0.0003, 0.0003, at
    any with at most their sum, 0.0020, however looks depend on one another.  One test by 3 standard errors,
    at the first look alone, has 0.0026.  A pair that is given up is looked at less often, so that no rule
    of who gets more samples can raise this.  Squares are skewed: the noisier of the two, which is rarely
    ours, is found ahead with up to 0.003 at a look (simulated), the quieter one with less than is said above.

    Attributes
    ----------
    ours, rivals : sequence of str
    leads : dict
        (ours, rival) to the lead when they were last looked at.
    """

    ours: Sequence[str]
    rivals: Sequence[str]
    leads: dict[tuple[str, str], float] = field(default_factory=dict)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        return [(one, rival) for one in self.ours for rival in self.rivals]

    def contested(self, looks: int) -> list[tuple[str, str]]:
        """The pairs worth drawing further when so many looks are left.

        They are the undecided ones of those of ours that are neither behind nor without hope of being
        ahead of all: a lead grows as the root of the number of samples, and may have been unlucky.
        """
        hopeful = max(-SURE, SURE / 2 ** (looks / 2) - _HOPE)
        return [
            (one, rival)
            for one, rival in self.pairs
            if self._least(one) >= hopeful and abs(self.leads[one, rival]) <= SURE
        ]

    def look(self, pairs: Sequence[tuple[str, str]], found: Mapping[str, Estimate]) -> None:
        """Test pairs, both of which have been drawn as often."""
        for one, rival in pairs:
            self.leads[one, rival] = found[one].lead(found[rival])

    def standing(self, one: str) -> str:
        """ "won": ahead of every rival; "lost": behind one of them; "level": neither."""
        least = self._least(one)
        return "won" if least > SURE else "lost" if least < -SURE else "level"

    def _least(self, one: str) -> float:
        return min(self.leads[one, rival] for rival in self.rivals)
