"""Changes of the decisions of classifiers on straight lines.

The decision is that of the largest of some scores. Scores of a network with ReLUs are straight but for kinks, so that a
few steps of a secant find a change, and an interval in which they are straight holds no other one.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SAFETY = 4.0  # by which scores may change faster than between the points nearby,
FADING = 0.5  # of what is known of their change from farther away
BENT = 0.1  # share by which slopes beside a point differ if the scores are not straight
MIN_SLIVER = 10  # tolerances that a decision between two equal ones has at least
SEARCHES = 8  # rounds in which an edge is searched for decisions between equal ones
LEAST = 0.1  # share by which a margin shrinks in a step if the scores do not jump
STEPS = 24  # rounds in which a change is approached
SECANTS = 4  # rounds before intervals are bisected in every second one
PATIENCE = 14  # rounds after which the tolerance grows
MAX_ITEMS = 2**15  # intervals, triangles or segments per classifier; decisions that are noise have more

Array = NDArray[Any]
Field = Callable[[Array, Array], tuple[Array, Array]]


@dataclass(frozen=True)
class Edges:
    """Straight lines between points at which decisions are known.

    Attributes:
        owner: The index of their classifier (E,).
        start: Their starts (E, 2).
        step: Their ends less their starts (E, 2).
        scores: Scores at start and end (E, 2, C).
        decided: Decisions there (E, 2).
        change: How much the difference of two scores may change along the whole edge (E,).
        falls: How fast the score of the decision falls towards the others on the way to the start from before it, and
            to the end from behind it, along the whole edge (E, 2); 0 if that is unknown.
    """

    owner: Array
    start: Array
    step: Array
    scores: Array
    decided: Array
    change: Array
    falls: Array


@dataclass(frozen=True)
class Changes:
    """Changes of decisions on edges, in order.

    Attributes:
        edge: The index of their edge (K,).
        place: Where they are, from 0 at its start to 1 at its end (K,).
        before: The decision before each of them (K,).
        behind: The decision behind it (K,).
        slope: How fast the score of the decision before falls below the others there, along the whole edge (K,).
    """

    edge: Array
    place: Array
    before: Array
    behind: Array
    slope: Array

    def of(self, owner: int, edges: Edges) -> "Changes":
        """Return the changes on the edges of one classifier."""
        own = np.flatnonzero(edges.owner[self.edge] == owner)
        return Changes(*(part[own] for part in vars(self).values()))

    def points(self, edges: Edges) -> Array:
        """Return where the changes are (K, 2)."""
        return edges.start[self.edge] + self.place[:, None] * edges.step[self.edge]


def find_changes(field: Field, edges: Edges, mass: Array, tolerance: float, searches: int = SEARCHES) -> Changes:
    """Return all changes of decisions on edges.

    An interval between equal decisions is cut where the scores would meet if they changed as fast as they may,
    until they would not meet in it; one between two decisions where a straight line would change its sign, until
    the change is known. The other part of that interval holds no other change if the scores are straight.

    Args:
        field: Returns scores (M, C) and decisions (M,) of classifiers at points, given the points (M, 2) and the index
            of a classifier for each (M,).
        edges: The edges.
        mass: The mass that is in doubt if nothing is known of a change on them but its edge (E,).
        tolerance: The mass that may be in doubt at each change.
        searches: Rounds in which intervals between equal decisions are cut.
    """
    intervals = _Intervals.of(edges)
    found = []
    with np.errstate(all="ignore"):  # quotients that are not used
        for step in range(STEPS):
            doubted = tolerance * 2.0 ** max(0, step - PATIENCE)
            full = crowded(edges.owner[intervals.edge], MAX_ITEMS) | (step == STEPS - 1)
            weight = mass[intervals.edge]
            bisect = step % 2 == 1 and step > SECANTS
            place, doubt = intervals.place(bisect)
            same = intervals.before == intervals.behind
            known = ~same & ((intervals.high - intervals.low) * weight < doubted) | (~same & full)
            found.append(intervals.changes(place, np.flatnonzero(known)))
            searched = (doubt * weight > MIN_SLIVER * doubted) & (step < searches) & ~full
            go = np.flatnonzero(np.where(same, searched, ~known))
            if not len(go):
                break
            intervals, place = intervals[go], place[go]
            point = edges.start[intervals.edge] + place[:, None] * edges.step[intervals.edge]
            scores, decided = field(point, edges.owner[intervals.edge])
            intervals, changes = intervals.cut(place, scores, decided, doubted / weight[go], step == 0 or bisect)
            found.append(changes)
    edge, place, before, behind, slope = join(found)
    order = np.lexsort((place, edge))
    return Changes(edge[order], place[order], before[order], behind[order], slope[order])


def margin_of(scores: Array, decided: Array, label: Array) -> Array:
    """Return by how much the score of a label exceeds the others, 0 where that contradicts the decision: -> (M,)."""
    if scores.shape[1] == 2:
        first = scores[:, 0] - scores[:, 1]
        margin = np.where(label == 0, first, -first)
    else:
        own, others = _apart(scores, label)
        margin = own - others.max(0)
    return np.where((margin > 0) == (decided == label), margin, 0.0)


def _second(scores: Array, decided: Array) -> Array:
    """Return the label of the largest score but that of the decision: (M, C), (M,) -> (M,)."""
    if scores.shape[1] == 2:
        return 1 - decided
    return _apart(scores, decided)[1].argmax(0)


def _apart(scores: Array, label: Array) -> tuple[Array, Array]:
    """Return the score of a label (M,), and all scores without it (C, M), whose rows are fast to compare."""
    others, rows = scores.T.copy(), np.arange(len(scores))
    own = others[label, rows]
    others[label, rows] = -np.inf
    return own, others


def difference(scores: Array, others: Array) -> Array:
    """Return how much the difference of two scores changes at most: (..., C), (..., C) -> (...)."""
    change = scores - others
    if change.shape[-1] == 2:
        return np.abs(change[..., 0] - change[..., 1])
    columns = np.moveaxis(change, -1, 0).copy()  # so that extremes over the classes are of whole rows
    return columns.max(0) - columns.min(0)


def crowded(owner: Array, limit: int) -> Array:
    """Return whether the owner of each of some things has more of them than a limit: (N,) -> (N,)."""
    return np.bincount(owner, minlength=1)[owner] > limit


def join(parts: Iterable[Sequence[Array]]) -> tuple[Array, ...]:
    """Return the columns of several tables, one after the other."""
    return tuple(np.concatenate(part) for part in zip(*parts, strict=True))


@dataclass(frozen=True)
class _Intervals:
    """Parts of edges.

    Attributes:
        edge: The index of their edge (N,).
        low: Where they begin, from 0 at the start of the edge to 1 at its end (N,).
        high: Where they end (N,).
        before: The decision at their beginning (N,).
        behind: The decision at their end (N,).
        left: The scores at their beginning (N, C).
        right: The scores at their end (N, C).
        left_share: The share of the margin at the beginning that counts for a secant (N,).
        right_share: The same at the end (N,).
        bound: How fast the difference of two scores may change (N,).
        left_fall: How fast the margin falls on the way to the beginning, before it (N,).
        right_fall: How fast it falls on the way to the end, from behind it (N,).
    """

    edge: Array
    low: Array
    high: Array
    before: Array
    behind: Array
    left: Array
    right: Array
    left_share: Array
    right_share: Array
    bound: Array
    left_fall: Array
    right_fall: Array

    def __getitem__(self, index: Array) -> "_Intervals":
        return _Intervals(*(part[index] for part in vars(self).values()))

    @staticmethod
    def of(edges: Edges) -> "_Intervals":
        """Return whole edges."""
        zero, one = np.zeros(len(edges.owner)), np.ones(len(edges.owner))
        left, right = edges.scores[:, 0], edges.scores[:, 1]
        before, behind = edges.decided.T
        number = np.arange(len(zero))
        return _Intervals(number, zero, one, before, behind, left, right, one, one, edges.change, *edges.falls.T)

    def margins(self) -> tuple[Array, Array]:
        """Return by how much the first decision's score exceeds the others at both ends: (N,) each."""
        return margin_of(self.left, self.before, self.before), margin_of(self.right, self.behind, self.before)

    def place(self, bisect: bool) -> tuple[Array, Array]:
        """Return where to cut, and the width in which another decision may be between equal ones: (N,) each."""
        first, last = self.margins()
        width, same = self.high - self.low, self.before == self.behind
        inner, outer = first * self.left_share, last * self.right_share
        middle = (first == 0) | (last == 0) | bisect  # where a margin is 0 the interval begins at another change
        secant = np.where(middle, 0.5, inner / (inner - outer))
        meeting = np.minimum(np.maximum(0.5 + (first - last) / (2 * self.bound * width), 0.1), 0.9)
        # Scores with one kink in the interval lie on the straight lines from before and from behind it.
        kink = (first - last + self.right_fall * width) / ((self.left_fall + self.right_fall) * width)
        value = first - self.left_fall * kink * width
        known = (kink > 0) & (kink < 1) & (self.left_fall != 0) & (self.right_fall != 0)
        meeting = np.where(known & (value < 0), kink, meeting)
        zero = np.where(value > 0, 1 - last / (self.right_fall * width), first / (self.left_fall * width))
        secant = np.where(known & ~middle, zero, secant)
        share = np.where(same, meeting, secant)
        share = np.where((share > 0) & (share < 1), share, 0.5)  # margins that differ by rounding lead anywhere
        place = self.low + share * width
        return place, width - (first + last) / self.bound

    def changes(self, place: Array, some: Array) -> tuple[Array, ...]:
        """Return some intervals as changes at given places."""
        first, last = self.margins()
        slope = (first - last) / (self.high - self.low)
        return self.edge[some], place[some], self.before[some], self.behind[some], slope[some]

    def cut(
        self, place: Array, scores: Array, decided: Array, tolerance: Array, fresh: bool
    ) -> tuple["_Intervals", tuple[Array, ...]]:
        """Return the parts that may hold a change, and the changes that are known.

        Args:
            place: Where the intervals are cut (N,).
            scores: Scores there (N, C).
            decided: Decisions there (N,).
            tolerance: The tolerance of a change's place (N,).
            fresh: Whether nothing was found by a secant before: the intervals are whole edges, or were bisected.
        """
        start, stop = self.margins()
        value = margin_of(scores, decided, self.before)
        slope_left, slope_right = (start - value) / (place - self.low), (value - stop) / (self.high - place)
        steepest = np.maximum(np.abs(slope_left), np.abs(slope_right))
        bend = np.abs(slope_left - slope_right) / steepest
        bent = bend > BENT
        to_left, to_right, same = decided == self.before, decided == self.behind, self.before == self.behind
        # A change is known if the straight line through its interval says so, which errs by the share of its bend.
        correction = value * (self.high - self.low) / (start - stop)
        falling = ~same & (to_left | to_right) & (slope_left > 0) & (slope_right > 0)
        done = falling & (np.abs(correction) * np.maximum(bend, BENT) < tolerance)
        exact = np.minimum(np.maximum(place + correction, self.low), self.high)
        slope = np.where(to_left, slope_right, slope_left)
        # Beyond it a third decision comes first if that has the second largest score.
        rival = _second(scores, decided)
        third = done & (rival != np.where(to_left, self.behind, self.before))
        before, behind = np.where(third & to_right, rival, self.before), np.where(third & to_left, rival, self.behind)
        some = np.flatnonzero(done)
        changes = tuple(part[some] for part in (self.edge, exact, before, behind, slope))
        # The method of Anderson and Bjorck: the margin at an end that stays counts less each time. Where the other one
        # is hardly smaller than before, the scores jump, and the interval is halved.
        shrink = 1 - value / np.where(to_left, start, stop)
        jumps = ~(shrink > LEAST)
        one = np.ones_like(shrink)
        left_share = np.where((self.right_share == 1) & (not fresh), self.left_share * shrink, one)
        right_share = np.where((self.left_share == 1) & (not fresh), self.right_share * shrink, one)
        left_share = np.where(~same & to_right, np.where(jumps, -value / start, left_share), one)
        right_share = np.where(~same & to_left, np.where(jumps, -value / stop, right_share), one)
        # What is left beside a known change is an interval between equal decisions.
        beside_left, beside_right = done & ~to_left, done & ~to_right
        bound = np.maximum(SAFETY * steepest, FADING * self.bound)
        left = _Intervals(
            self.edge,
            self.low,
            np.where(beside_left, exact - 2 * tolerance, place),
            self.before,
            np.where(beside_left, before, decided),
            self.left,
            scores,
            left_share,
            one,
            bound,
            self.left_fall,
            -slope_right,
        )
        right = _Intervals(
            self.edge,
            np.where(beside_right, exact + 2 * tolerance, place),
            self.high,
            np.where(beside_right, behind, decided),
            self.behind,
            scores,
            self.right,
            one,
            right_share,
            bound,
            slope_left,
            self.right_fall,
        )
        keep_left = np.flatnonzero(np.where(to_left, same | bent, ~done | bent | third))
        keep_right = np.flatnonzero(np.where(to_right, same | bent, ~done | bent | third))
        parts = zip(vars(left[keep_left]).values(), vars(right[keep_right]).values(), strict=True)
        return _Intervals(*(np.concatenate(pair) for pair in parts)), changes
