"""The boundaries between the decisions of classifiers of the plane, as chains of straight segments.

The plane is cut into triangles. Their sides are searched for changes of the decision, each of which is found to a
tolerance. In a triangle two changes are the ends of one boundary. Its middle is found on the ray across the middle of
the straight segment between them, and a segment whose middle lies beside it is halved. What else a triangle may hold,
such as the tip of a strip or a place where three decisions meet, is found by cutting it into smaller ones.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from src.metrics.changes import (
    FADING,
    MAX_ITEMS,
    SAFETY,
    Changes,
    Edges,
    Field,
    crowded,
    difference,
    find_changes,
    margin_of,
)

PARTS = 8  # into which the sides of a triangle are cut
CUTS = 3  # of a triangle in sequence
MAX_SHIFT = 0.25  # lengths of a segment by which its middle lies beside it, at most
REACH = 0.5  # lengths of a half in which its middle is searched
MIDDLE_STEPS = 4  # in which the middle of the boundary in a triangle is found,
LATE_STEPS = 10  # and that of a part of it
HALVINGS = 14  # of a segment in sequence

Array = NDArray[Any]
TINY = np.finfo(float).tiny

Map = Callable[[Array], Array]


@dataclass(frozen=True)
class Boundary:
    """Segments of boundaries.

    Attributes:
        owner: The index of their classifier (B,).
        start: Their starts (B, 2).
        end: Their ends (B, 2).
        left: The decision to the left of them (B,); -1 where that of another segment on the same line counts.
        right: The decision to the right of them (B,), likewise.
    """

    owner: Array
    start: Array
    end: Array
    left: Array
    right: Array

    def of(self, owner: int) -> "Boundary":
        """Return the segments of one classifier."""
        own = np.flatnonzero(self.owner == owner)
        return Boundary(*(part[own] for part in vars(self).values()))


@dataclass(frozen=True)
class Triangles:
    """Triangles whose corners turn left.

    Attributes:
        owner: The index of their classifier (T,).
        corners: Their corners (T, 3, 2).
        decided: Decisions there (T, 3).
        sides: The indices of the edges after each corner (T, 3); -1 for one on which the decision does not change.
        reversed: Whether these edges end at the corner (T, 3).
    """

    owner: Array
    corners: Array
    decided: Array
    sides: Array
    reversed: Array


def trace(
    field: Field, density: Map, axes: tuple[Array, Array], scores: Array, decided: Array, tolerance: float
) -> tuple[Boundary, Edges, Changes]:
    """Return the boundaries of S classifiers between the corners of a grid.

    Args:
        field: Returns scores (M, C) and decisions (M,) of classifiers at points, given the points (M, 2) and the index
            of a classifier for each (M,).
        density: The density of the distribution, (M, 2) -> (M,).
        axes: The coordinates of the grid, in equal steps: (n1,), (n2,).
        scores: Scores at the corners of the grid (S, n1, n2, C).
        decided: Decisions there (S, n1, n2).
        tolerance: The mass that may be in doubt at each place.

    Returns:
        The boundaries; the edges of the grid on which decisions change or may do so; and their changes.
    """
    tracer = _Tracer(field, density, tolerance)
    with np.errstate(all="ignore"):  # quotients that are not used
        triangles, edges = _triangulate(axes, scores, decided)
        changes = tracer.changes(edges)
        return tracer.boundary(triangles, edges, changes), edges, changes


def _length(step: Array) -> Array:
    """Return the lengths of vectors: (..., 2) -> (...)."""
    return np.sqrt(step[..., 0] ** 2 + step[..., 1] ** 2)


class _Tracer:
    """Finds boundaries on edges, in triangles and between points.

    Args:
        field: See ``trace``.
        density: See ``trace``.
        tolerance: See ``trace``.
    """

    def __init__(self, field: Field, density: Map, tolerance: float) -> None:
        self._field = field
        self._density = density
        self._tolerance = tolerance

    def changes(self, edges: Edges) -> Changes:
        """Return all changes of decisions on edges."""
        mass = _length(edges.step) ** 2 * self._density(edges.start + edges.step / 2)
        return find_changes(self._field, edges, mass, self._tolerance)

    def boundary(self, triangles: Triangles, edges: Edges, changes: Changes) -> Boundary:
        """Return the boundaries in triangles, given the changes on their sides."""
        segments, curves = [], []
        for cut in range(CUTS + 1):
            walk = _Walk(triangles, edges, changes)
            curve, rest = self._curves(walk)
            curves.append(curve)
            doubt = _area(walk.corners) * self._density(walk.corners.mean(1))
            small = (doubt < self._tolerance) | (cut == CUTS)
            small[rest] |= crowded(walk.owner[rest], MAX_ITEMS // PARTS**2)
            segments.append(walk.stars(rest & small))
            rest &= ~small
            if not rest.any():
                break
            segments.append(walk.outline(rest))
            triangles, edges = self._cut(walk, rest)
            changes = self.changes(edges)
            segments.append(_inline(edges, changes, int(rest.sum())))
        segments += self._halve(_Curves.join(curves))
        return Boundary(*(np.concatenate(part) for part in zip(*segments, strict=True)))

    def _curves(self, walk: "_Walk") -> tuple["_Curves", Array]:
        """Return the boundaries in triangles, and which triangles hold something else."""
        triangle, first, last = walk.cut_off()
        strip, order = walk.strips()
        if len(strip):
            _, decided = self._field(walk.point[order].mean(1), walk.owner[strip])
            whole = decided == walk.behind[order[:, 0]]
            strip, order = strip[whole], order[whole]
            triangle = np.concatenate([triangle, strip, strip])
            first, last = (
                np.concatenate([first, order[:, 1], order[:, 0]]),
                np.concatenate([last, order[:, 2], order[:, 3]]),
            )
        ends = np.stack([walk.point[first], walk.point[last]], axis=1)
        labels = np.stack([walk.behind[first], walk.behind[last]], axis=1)
        slope = -(walk.slope[first] + walk.slope[last]) / 2
        curves = _Curves.begin(walk.owner[triangle], walk.corners[triangle], ends, labels, slope, self._density)
        for _ in range(MIDDLE_STEPS):
            self._approach(curves)
            if curves.found.all():
                break
        good = curves.found & (np.abs(curves.shift) < MAX_SHIFT * curves.chord)
        rest = np.ones(len(walk.owner), dtype=bool)
        rest[triangle] = False
        rest[triangle[~good]] = True
        return curves[np.flatnonzero(~rest[triangle])], rest

    def _approach(self, curves: "_Curves") -> None:
        """Evaluate a classifier once on the ray through the middle of each curve whose middle is not known."""
        index = np.flatnonzero(~curves.found)
        if not len(index):
            return
        shift, below, above, slope = (part[index] for part in (curves.shift, curves.below, curves.above, curves.slope))
        heavy, last_value, last_shift = curves.heavy[index], curves.last_value[index], curves.last_shift[index]
        point = curves.centre[index] + shift[:, None] * curves.ray[index]
        value = margin_of(*self._field(point, curves.owner[index]), curves.labels[index, 0])
        inside = value > 0
        below, above = np.where(inside, shift, below), np.where(inside, above, shift)
        secant = (value - last_value) / (shift - last_shift)
        slope = np.where(secant < 0, secant, slope)
        move = -value / slope
        move = np.where(np.isfinite(move), move, 0.0)
        goal = shift + move
        curves.found[index] = (np.minimum(np.abs(move), above - below) * heavy < self._tolerance / 4) & (
            (goal >= below) & (goal <= above)
        )
        goal = np.where(goal <= below, (below + shift) / 2, goal)
        goal = np.where(goal >= above, (above + shift) / 2, goal)
        curves.shift[index], curves.slope[index] = goal, slope
        curves.below[index], curves.above[index] = below, above
        curves.last_value[index], curves.last_shift[index] = value, shift
        curves.steps[index] += 1

    def _halve(self, curves: "_Curves") -> list[tuple[Array, ...]]:
        """Return the segments of curves."""
        segments = []
        while len(curves.owner):
            known = curves.found | (curves.steps >= LATE_STEPS)
            straight = known & (
                (np.abs(curves.shift) * curves.heavy < self._tolerance)
                | (curves.depth == HALVINGS)
                | crowded(curves.owner, MAX_ITEMS)
            )
            segments.append(curves[np.flatnonzero(straight)].segments())
            bent = curves[np.flatnonzero(known & ~straight)]
            curves = _Curves.join([curves[np.flatnonzero(~known)], bent.halves(self._density)])
            self._approach(curves)
        return segments

    def _cut(self, walk: "_Walk", rest: Array) -> tuple[Triangles, Edges]:
        """Cut triangles into smaller ones."""
        owner, corners = walk.owner[rest], walk.corners[rest]
        count = len(owner)
        weights, start, end, parts, sides, flipped = _parts(PARTS)
        points = (weights[None, :, :, None] * corners[:, None]).sum(2)  # (T, points, 2)
        scores, decided = self._field(points.reshape(-1, 2), owner.repeat(len(weights)))
        scores, decided = scores.reshape(count, len(weights), -1), decided.reshape(count, -1)
        step = points[:, end] - points[:, start]
        length = _length(step)
        change = difference(scores[:, end], scores[:, start])  # (T, edges)
        steepest = np.maximum(SAFETY * (change / length).max(1), FADING * walk.steepest[rest])
        edges = Edges(
            owner.repeat(len(start)),
            points[:, start].reshape(-1, 2),
            step.reshape(-1, 2),
            np.stack([scores[:, start], scores[:, end]], axis=2).reshape(len(owner) * len(start), 2, -1),
            np.stack([decided[:, start], decided[:, end]], axis=2).reshape(-1, 2),
            (steepest[:, None] * length).flatten(),
            np.zeros((len(owner) * len(start), 2)),
        )
        first = len(start) * np.arange(count)[:, None, None]
        triangles = Triangles(
            owner.repeat(len(parts)),
            points[:, parts].reshape(-1, 3, 2),
            decided[:, parts].reshape(-1, 3),
            (first + sides).reshape(-1, 3),
            np.tile(flipped, (count, 1)),
        )
        return triangles, edges


class _Walk:
    """Walks around the triangles on whose sides decisions change, corners to the left, which meet the changes in order.

    Args:
        triangles: Some triangles.
        edges: Their sides.
        changes: The changes on these.

    Attributes:
        owner: The index of the classifier of each of the T triangles that have changes (T,).
        corners: Their corners (T, 3, 2).
        steepest: How fast the difference of two scores may change in them (T,).
        triangle: The index of the triangle of each change (K,); a change is on the sides of two triangles.
        side: The side on which it is (K,).
        point: Where it is (K, 2).
        before: The decision before it (K,).
        behind: The decision behind it (K,).
        slope: How fast the score of the decision before falls there (K,).
    """

    def __init__(self, triangles: Triangles, edges: Edges, changes: Changes) -> None:
        number = np.bincount(changes.edge, minlength=len(edges.owner) + 1)  # the last one for sides without changes
        offset = number.cumsum(0) - number
        some = number[triangles.sides].sum(1) > 0
        self.owner, self.corners, self._decided = (
            triangles.owner[some],
            triangles.corners[some],
            triangles.decided[some],
        )
        sides, flipped = triangles.sides[some].flatten(), triangles.reversed[some].flatten()
        on_side = number[sides]  # (3 T,)
        self._on_side = on_side.reshape(-1, 3)
        length = _length(edges.step)
        self.steepest = np.append(edges.change / length, 0.0)[sides].reshape(-1, 3).max(1)
        self._line = np.arange(len(sides)).repeat(on_side)
        rank = np.arange(len(self._line)) - (on_side.cumsum(0) - on_side)[self._line]
        back = flipped[self._line]
        index = offset[sides[self._line]] + np.where(back, on_side[self._line] - 1 - rank, rank)
        edge = changes.edge[index]
        self.triangle, self.side = self._line // 3, self._line % 3
        self.point = edges.start[edge] + changes.place[index][:, None] * edges.step[edge]
        self.before = np.where(back, changes.behind[index], changes.before[index])
        self.behind = np.where(back, changes.before[index], changes.behind[index])
        self.slope = changes.slope[index] / length[edge]

    def cut_off(self) -> tuple[Array, Array, Array]:
        """Return the triangles of which a boundary cuts a corner off: indices of the changes before and behind it."""
        number = self._on_side.sum(1)
        triangle = np.flatnonzero((number == 2) & (self._on_side.max(1) == 1))
        first = (number.cumsum(0) - number)[triangle]
        last = first + 1
        wraps = self._on_side[triangle, 1] == 0  # the corner lies between the last and the first side
        first, last = np.where(wraps, last, first), np.where(wraps, first, last)
        fits = (self.behind[first] == self.before[last]) & (self.behind[last] == self.before[first])
        return triangle[fits], first[fits], last[fits]

    def strips(self) -> tuple[Array, Array]:
        """Return the triangles with two changes on each of two sides, and the indices of these (N, 4)."""
        triangle = np.flatnonzero((self._on_side == 2).sum(1) == 2)
        triangle = triangle[self._on_side[triangle].sum(1) == 4]
        number = self._on_side.sum(1)
        order = (number.cumsum(0) - number)[triangle, None] + np.arange(4)
        wraps = self._on_side[triangle, 1] == 0
        order = np.where(wraps[:, None], np.roll(order, 2, axis=1), order)
        behind = self.behind[order]
        fits = (
            (behind[:, 0] == behind[:, 2]) & (behind[:, 1] == behind[:, 3]) & (self.before[order[:, 0]] == behind[:, 3])
        )
        return triangle[fits], order[fits]

    def stars(self, some: Array) -> tuple[Array, ...]:
        """Return segments from the changes on the sides of some triangles to their centres."""
        own = some[self.triangle]
        triangle = self.triangle[own]
        return self.owner[triangle], self.point[own], self.corners[triangle].mean(1), self.before[own], self.behind[own]

    def outline(self, some: Array) -> tuple[Array, ...]:
        """Return the sides of some triangles as segments to the right of which are the decisions on them."""
        lines = some.repeat(3)
        own = lines[self._line]
        corners = self.corners[some]
        owner, start, end, label = _intervals(
            self.owner[some].repeat(3),
            corners.reshape(-1, 2),
            np.roll(corners, -1, axis=1).reshape(-1, 2),
            self._decided[some].flatten(),
            (lines.cumsum(0) - 1)[self._line[own]],
            self.point[own],
            self.behind[own],
        )
        return owner, start, end, np.full_like(label, -1), label


@dataclass(frozen=True)
class _Curves:
    """Boundaries between two points, and what is known of their middles.

    Attributes:
        owner: The index of their classifier (N,).
        corners: The corners of their triangle (N, 3, 2).
        ends: The ends of the boundary (N, 2, 2).
        labels: The decisions to the right of it and to the left (N, 2).
        slope: How fast the score of the first one exceeds the others along the ray, below 0 (N,).
        depth: How often the boundary was halved (N,).
        centre: The middle of the straight segment between the ends (N, 2).
        ray: The direction to the left of that segment, of length 1 (N, 2).
        chord: The length of that segment (N,).
        heavy: The mass between segment and boundary if the middle is shifted by 1 (N,).
        shift: Where the middle of the boundary is on the ray, 0 at the centre (N,).
        below: A point on the ray that is before the boundary (N,).
        above: One that is behind it (N,).
        last_shift: Where the classifier was evaluated last (N,).
        last_value: By how much the first score exceeds the others there (N,).
        steps: How often it was evaluated (N,).
        found: Whether the middle is known (N,).
    """

    owner: Array
    corners: Array
    ends: Array
    labels: Array
    slope: Array
    depth: Array
    centre: Array
    ray: Array
    chord: Array
    heavy: Array
    shift: Array
    below: Array
    above: Array
    last_shift: Array
    last_value: Array
    steps: Array
    found: Array

    def __getitem__(self, index: Array) -> "_Curves":
        return _Curves(*(part[index] for part in vars(self).values()))

    @staticmethod
    def join(curves: Sequence["_Curves"]) -> "_Curves":
        """Return some curves one after the other."""
        return _Curves(*(np.concatenate(part) for part in zip(*(vars(each).values() for each in curves), strict=True)))

    @staticmethod
    def begin(
        owner: Array,
        corners: Array,
        ends: Array,
        labels: Array,
        slope: Array,
        density: Map,
        depth: Array | None = None,
    ) -> "_Curves":
        """Return curves of which nothing is known but the ends."""
        centre, ahead = (ends[:, 0] + ends[:, 1]) / 2, ends[:, 1] - ends[:, 0]
        chord = _length(ahead)
        ray = np.stack([-ahead[:, 1], ahead[:, 0]], axis=1) / np.maximum(chord, TINY)[:, None]
        # Where the ray leaves the triangle: to the left of each of its sides is its inside.
        sides = np.roll(corners, -1, axis=1) - corners
        aside = centre[:, None] - corners
        distance = sides[..., 0] * aside[..., 1] - sides[..., 1] * aside[..., 0]  # (N, 3)
        growth = sides[..., 0] * ray[:, None, 1] - sides[..., 1] * ray[:, None, 0]
        exits = -np.maximum(distance, 0.0) / growth
        below = np.where(growth > 0, exits, -np.inf).max(1)
        above = np.where(growth < 0, exits, np.inf).min(1)
        if depth is not None:
            below, above = np.maximum(below, -REACH * chord), np.minimum(above, REACH * chord)
        nothing = np.full_like(chord, np.nan)
        zero = np.zeros_like(owner)
        return _Curves(
            owner,
            corners,
            ends,
            labels,
            slope,
            zero if depth is None else depth,
            centre,
            ray,
            chord,
            chord * density(centre) / 2,
            np.zeros_like(chord),
            below,
            above,
            nothing,
            nothing.copy(),
            zero.copy(),
            zero > 0,
        )

    def middle(self) -> Array:
        """Return the middles (N, 2)."""
        return self.centre + self.shift[:, None] * self.ray

    def halves(self, density: Map) -> "_Curves":
        """Return both halves of each curve."""
        middle = self.middle()
        ends = np.concatenate(
            [np.stack([self.ends[:, 0], middle], axis=1), np.stack([middle, self.ends[:, 1]], axis=1)]
        )
        parts = (self.owner, self.corners, self.labels, self.slope, self.depth + 1)
        owner, corners, labels, slope, depth = (np.concatenate([part, part]) for part in parts)
        return _Curves.begin(owner, corners, ends, labels, slope, density, depth)

    def segments(self) -> tuple[Array, ...]:
        """Return two straight segments for each curve."""
        middle = self.middle()
        start, end = np.concatenate([self.ends[:, 0], middle]), np.concatenate([middle, self.ends[:, 1]])
        inside, outside = np.tile(self.labels, (2, 1)).T
        return np.tile(self.owner, 2), start, end, outside, inside


def _largest_around(values: Array) -> Array:
    """Return the largest of each value and the eight around it: (S, n1, n2) -> (S, n1, n2)."""
    pairs = np.maximum(values[:, 1:], values[:, :-1])
    rows = np.concatenate([pairs[:, :1], np.maximum(pairs[:, 1:], pairs[:, :-1]), pairs[:, -1:]], axis=1)
    pairs = np.maximum(rows[..., 1:], rows[..., :-1])
    return np.concatenate([pairs[..., :1], np.maximum(pairs[..., 1:], pairs[..., :-1]), pairs[..., -1:]], axis=2)


def _area(corners: Array) -> Array:
    """Return the areas of triangles: (T, 3, 2) -> (T,)."""
    side, other = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return np.abs(side[:, 0] * other[:, 1] - side[:, 1] * other[:, 0]) / 2


def _intervals(
    owner: Array, start: Array, end: Array, decided: Array, line: Array, point: Array, behind: Array
) -> tuple[Array, Array, Array, Array]:
    """Return the parts into which changes cut lines: their owners, starts, ends and decisions.

    Args:
        owner: Owners of the lines (L,).
        start: Their starts (L, 2).
        end: Their ends (L, 2).
        decided: The decisions at their starts (L,).
        line: The line of each change (K,), of which those of one line are in order.
        point: Where the changes are (K, 2).
        behind: The decisions behind them (K,).
    """
    lines = np.concatenate([np.arange(len(start)), line])
    order = np.argsort(lines, kind="stable")  # the start of each line, and then its changes
    lines = lines[order]
    begin, label = np.concatenate([start, point])[order], np.concatenate([decided, behind])[order]
    final = np.ones(len(lines), dtype=bool)
    final[:-1] = lines[1:] != lines[:-1]
    stop = np.where(final[:, None], end[lines], np.roll(begin, -1, axis=0))
    return owner[lines], begin, stop, label


def _inline(edges: Edges, changes: Changes, count: int) -> tuple[Array, ...]:
    """Return the sides of triangles that were cut, as segments to the left of which are the decisions on the parts."""
    outer = 3 * PARTS
    number = len(edges.owner) // count
    lines = np.arange(len(edges.owner)) % number < outer
    own = lines[changes.edge]
    edge = changes.edge[own]
    owner, start, end, label = _intervals(
        edges.owner[lines],
        edges.start[lines],
        (edges.start + edges.step)[lines],
        edges.decided[lines, 0],
        (lines.cumsum(0) - 1)[edge],
        edges.start[edge] + changes.place[own][:, None] * edges.step[edge],
        changes.behind[own],
    )
    return owner, start, end, label, np.full_like(label, -1)


@cache
def _parts(count: int) -> tuple[Array, ...]:
    """Return how a triangle is cut into count^2.

    Returns:
        The weights of the corners at each point (P, 3); start and end of each edge (E,), first the edges on the sides,
        in the direction of the walk around the triangle; the corners of the parts (count^2, 3); their sides, likewise;
        and whether these are reversed.
    """
    nodes = [(i, j) for i in range(count + 1) for j in range(count + 1 - i)]
    index = {node: number for number, node in enumerate(nodes)}
    up = [((i, j), (i + 1, j), (i, j + 1)) for i, j in nodes if i + j < count]
    down = [((i + 1, j), (i + 1, j + 1), (i, j + 1)) for i, j in nodes if i + j < count - 1]
    parts = [tuple(index[node] for node in part) for part in up + down]
    walks = [(part[side], part[(side + 1) % 3]) for part in parts for side in range(3)]
    outer = [walk for walk in walks if walk[::-1] not in walks]
    inner = [walk for walk in walks if walk[::-1] in walks and walk[0] < walk[1]]
    edges = {walk: number for number, walk in enumerate(outer + inner)}
    sides = [edges[walk] if walk in edges else edges[walk[::-1]] for walk in walks]
    flipped = [walk not in edges for walk in walks]
    weights = np.array([(count - i - j, i, j) for i, j in nodes]) / count
    start, end = np.array(outer + inner).T
    return weights, start, end, np.array(parts), np.array(sides).reshape(-1, 3), np.array(flipped).reshape(-1, 3)


def _triangulate(axes: tuple[Array, Array], scores: Array, decided: Array) -> tuple[Triangles, Edges]:
    """Return the triangles of a grid, and those of its edges on which decisions change or may do so; see ``trace``."""
    seeds, n1, n2 = decided.shape
    corners = np.arange(decided.size).reshape(decided.shape)
    flat_scores, flat_decided = scores.reshape(-1, scores.shape[-1]), decided.ravel()
    margin = margin_of(flat_scores, flat_decided, flat_decided).reshape(decided.shape)
    masks, starts, ends, bounds = [], [], [], []
    for across, up in ((1, 0), (0, 1), (1, 1)):
        back = (slice(None), slice(0, n1 - across), slice(0, n2 - up))
        ahead = (slice(None), slice(across, n1), slice(up, n2))
        change = difference(scores[ahead], scores[back])
        bound = SAFETY * _largest_around(change)
        masks.append(((decided[ahead] != decided[back]) | (margin[ahead] + margin[back] < bound)).ravel())
        starts.append(corners[back].ravel())
        ends.append(corners[ahead].ravel())
        bounds.append(bound.ravel())
    mask, start, end = np.concatenate(masks), np.concatenate(starts), np.concatenate(ends)
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    chosen = np.flatnonzero(mask)
    some, other = start[chosen], end[chosen]
    size, last = n1 * n2, len(flat_decided) - 1
    first, second = points[some % size], points[other % size]
    label, onward = flat_decided[some], other - some
    steps, falls = np.stack(np.divmod(onward, n2)), []
    for near, sign in ((some, -1), (other, 1)):
        beyond = np.clip(near + sign * onward, 0, last)
        fall = margin_of(flat_scores[beyond], flat_decided[beyond], label)
        fall -= margin_of(flat_scores[near], flat_decided[near], label)
        row, column = np.stack(np.divmod(near % size, n2)) + sign * steps
        inside = (row >= 0) & (row < n1) & (column >= 0) & (column < n2)
        falls.append(np.where(inside, fall, 0.0))  # unknown at the sides of the grid
    edges = Edges(
        some // size,
        first,
        second - first,
        np.stack([flat_scores[some], flat_scores[other]], axis=1),
        np.stack([flat_decided[some], flat_decided[other]], axis=1),
        np.concatenate(bounds)[chosen],
        np.stack(falls, axis=1),
    )
    index = np.where(mask, mask.cumsum(0) - 1, -1)
    horizontal, vertical, slant = np.split(index, np.cumsum([len(part) for part in starts])[:-1])
    horizontal = horizontal.reshape(seeds, n1 - 1, n2)
    vertical = vertical.reshape(seeds, n1, n2 - 1)
    slant = slant.reshape(seeds, n1 - 1, n2 - 1)
    below = np.stack([horizontal[..., :-1], vertical[:, 1:], slant], axis=-1).reshape(-1, 3)
    above = np.stack([slant, horizontal[..., 1:], vertical[:, :-1]], axis=-1).reshape(-1, 3)
    here, right = corners[:, :-1, :-1].ravel(), corners[:, 1:, :-1].ravel()
    beyond, top = corners[:, 1:, 1:].ravel(), corners[:, :-1, 1:].ravel()
    sides, corner, flipped = [], [], []
    for own, names, ends_at in (
        (below, (here, right, beyond), (False, False, True)),
        (above, (here, beyond, top), (False, True, True)),
    ):
        some = np.flatnonzero(own.max(1) >= 0)
        sides.append(own[some])
        corner.append(np.stack([name[some] for name in names], axis=1))
        flipped.append(np.tile(np.array(ends_at), (len(some), 1)))
    number = np.concatenate(corner)
    return Triangles(
        number[:, 0] // size,
        points[number % size],
        flat_decided[number],
        np.concatenate(sides),
        np.concatenate(flipped),
    ), edges
