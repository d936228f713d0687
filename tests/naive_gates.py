"""The oracle for the kernels of data-driven gates: hills and mixtures in plain Python."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scipy.special import digamma

Grid = Sequence[Sequence[float]]


def hills(density: Grid, sigma: float, significant: float, shallow: float) -> list[list[int]]:
    """Each cell's peak: sets of cells that are merged where they meet."""
    n_x, n_y = len(density), len(density[0])
    height = {(i, j): density[i][j] for i in range(n_x) for j in range(n_y)}
    order = sorted((c for c in height if height[c] > 0), key=lambda c: (-height[c], c))
    peak_of: dict[tuple[int, int], tuple[int, int]] = {}

    def around(cell):
        i, j = cell
        cells = [(i + a, j + b) for a in (-1, 0, 1) for b in (-1, 0, 1)]
        return [c for c in cells if c in peak_of and c != cell]

    for cell in order:
        near = around(cell)
        if not near:
            peak_of[cell] = cell
            continue
        best = max(near, key=lambda c: (height[c], -c[0], -c[1]))
        top = peak_of[best]
        peak_of[cell] = top
        for other_cell in near:
            other = peak_of[other_cell]
            top = peak_of[cell]
            if other == top:
                continue
            low, high = (other, top) if height[other] <= height[top] else (top, other)
            noise = math.sqrt((height[low] + height[cell]) / (4 * math.pi)) / sigma
            stands = height[low] - height[cell] >= significant * noise
            if not (stands and height[cell] <= shallow * height[low]):
                for each, peak in peak_of.items():
                    if peak == low:
                        peak_of[each] = high
    return [
        [peak_of[i, j][0] * n_y + peak_of[i, j][1] if (i, j) in peak_of else -1 for j in range(n_y)]
        for i in range(n_x)
    ]


def reach(inside, beyond, i: float, j: float, n_rays: int, step: float) -> list[float]:
    """Walk each ray cell by cell."""
    found = []
    for ray in range(n_rays):
        angle = 2 * math.pi * ray / n_rays
        k, last = 1, 0.0
        while True:
            a = math.floor(i + k * step * math.cos(angle) + 0.5)
            b = math.floor(j + k * step * math.sin(angle) + 0.5)
            outside = not (0 <= a < len(inside) and 0 <= b < len(inside[0]))
            if outside or beyond[a][b]:
                break
            if inside[a][b]:
                last = k * step
            k += 1
        found.append(last)
    return found


def t_density(x: float, y: float, cloud: Sequence[float]) -> float:
    """Density of one cloud, its weight included."""
    weight, mx, my, xx, xy, yy, freedom = cloud
    size = xx * yy - xy * xy
    far = (yy * (x - mx) ** 2 - 2 * xy * (x - mx) * (y - my) + xx * (y - my) ** 2) / size
    return weight / (2 * math.pi * math.sqrt(size)) * (1 + far / freedom) ** (-(freedom + 2) / 2)


def mixture_likelihood(x, y, counts, clouds, background: float, area: float) -> float:
    """Mean log-likelihood of counted places."""
    total = 0.0
    for a, b, n in zip(x, y, counts, strict=True):
        total += n * math.log(sum(t_density(a, b, c) for c in clouds) + background / area)
    return total / sum(counts)


def mixture_step(x, y, counts, clouds, background: float, area: float, floor: float):
    """One step of expectation-maximisation; the clouds and the background's weight after it."""
    shares, pulls = [], []
    for a, b in zip(x, y, strict=True):
        parts = [t_density(a, b, cloud) for cloud in clouds] + [background / area]
        shares.append([part / sum(parts) for part in parts])
        row = []
        for _, mx, my, xx, xy, yy, freedom in clouds:
            size = xx * yy - xy * xy
            far = (yy * (a - mx) ** 2 - 2 * xy * (a - mx) * (b - my) + xx * (b - my) ** 2) / size
            row.append((freedom + 2) / (freedom + far))
        pulls.append(row)
    total = sum(counts)
    moved = []
    for c, cloud in enumerate(clouds):
        own = [n * share[c] for n, share in zip(counts, shares, strict=True)]
        mass = sum(own)
        if mass < 3:
            moved.append([mass / total, *cloud[1:]])
            continue
        pulled = [o * pull[c] for o, pull in zip(own, pulls, strict=True)]
        mx = sum(p * a for p, a in zip(pulled, x, strict=True)) / sum(pulled)
        my = sum(p * b for p, b in zip(pulled, y, strict=True)) / sum(pulled)
        xx = sum(p * (a - mx) ** 2 for p, a in zip(pulled, x, strict=True)) / mass
        yy = sum(p * (b - my) ** 2 for p, b in zip(pulled, y, strict=True)) / mass
        xy = sum(p * (a - mx) * (b - my) for p, a, b in zip(pulled, x, y, strict=True)) / mass
        xx, yy = max(xx, floor), max(yy, floor)
        limit = 0.98 * math.sqrt(xx * yy)
        spread = sum(o * (math.log(w[c]) - w[c]) for o, w in zip(own, pulls, strict=True)) / mass
        freedom = _freedom(spread, cloud[6])
        moved.append([mass / total, mx, my, xx, min(max(xy, -limit), limit), yy, freedom])
    left = sum(n * share[-1] for n, share in zip(counts, shares, strict=True)) / total
    return moved, max(left, 1e-9)


def _freedom(spread: float, now: float) -> float:
    """Degrees of freedom from 3 to 100, on a fine ladder."""

    def off(v: float) -> float:
        half = (now + 2) / 2
        return math.log(v / 2) - digamma(v / 2) + 1 + spread + digamma(half) - math.log(half)

    if off(100.0) > 0:
        return 100.0
    if off(3.0) < 0:
        return 3.0
    low, high = 3.0, 100.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if off(middle) > 0 else (low, middle)
    return low
