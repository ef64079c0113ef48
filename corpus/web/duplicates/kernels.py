"""Compiled loops of clustering: union-find over row numbers, and comparing the signatures of a bucket's members.

Imported by functions only: numba takes half a second to load.
"""

from __future__ import annotations

import numpy as np

from foundation.execution.compiled import compiled


@compiled
def root(parents: np.ndarray, row: int) -> int:
    """The smallest row of a row's set; halves the path on its way."""
    while parents[row] != row:
        parents[row] = parents[parents[row]]
        row = parents[row]
    return row


@compiled
def join(parents: np.ndarray, firsts: np.ndarray, seconds: np.ndarray) -> int:
    """Join the sets of each pair, the smaller root staying; returns how many pairs were in two sets before."""
    joined = 0
    for place in range(len(firsts)):
        one, other = root(parents, firsts[place]), root(parents, seconds[place])
        if one != other:
            parents[max(one, other)] = min(one, other)
            joined += 1
    return joined


@compiled
def flatten(parents: np.ndarray, sizes: np.ndarray) -> None:
    """Point every row at its root, and count each root's rows."""
    for row in range(len(parents)):
        parents[row] = root(parents, row)
        sizes[parents[row]] += 1


@compiled
def _similar(one: np.ndarray, other: np.ndarray, allowed: int) -> bool:
    """Whether at most ``allowed`` values differ."""
    different = 0
    for place in range(len(one)):
        different += one[place] != other[place]
        if different > allowed:
            return False
    return True


@compiled
def link_buckets(signatures: np.ndarray, starts: np.ndarray, ends: np.ndarray, allowed: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Pairs that join the similar members of each bucket; buckets are stretches of ``signatures``.

    All pairs count: only those whose members earlier pairs joined already are spared, which changes no cluster.

    Returns:
        Places of the first and of the second member of each pair, and the number of comparisons.
    """
    parents = np.arange(len(signatures))
    firsts, seconds = np.empty(len(signatures), np.int64), np.empty(len(signatures), np.int64)
    found = compared = 0
    for bucket in range(len(starts)):
        for one in range(starts[bucket], ends[bucket]):
            for other in range(one + 1, ends[bucket]):
                first, second = root(parents, one), root(parents, other)
                if first == second:
                    continue
                compared += 1
                if _similar(signatures[one], signatures[other], allowed):
                    parents[max(first, second)] = min(first, second)
                    firsts[found], seconds[found] = one, other
                    found += 1
    return firsts[:found], seconds[:found], compared


@compiled
def link_neighbours(
    signatures: np.ndarray, members: np.ndarray, parents: np.ndarray, window: int, new: int, allowed: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """Pairs of similar members at most ``window`` places apart, of the first ``new`` members with those after them.

    Args:
        signatures: of the members, in sorted order.
        members: their places in ``parents``, the union-find of the whole bucket, which is changed.

    Returns:
        Members of each pair, and the number of comparisons.
    """
    firsts, seconds = np.empty(len(members), np.int64), np.empty(len(members), np.int64)
    found = compared = 0
    for one in range(new):
        for other in range(one + 1, min(one + 1 + window, len(members))):
            first, second = root(parents, members[one]), root(parents, members[other])
            if first == second:
                continue
            compared += 1
            if _similar(signatures[one], signatures[other], allowed):
                parents[max(first, second)] = min(first, second)
                firsts[found], seconds[found] = members[one], members[other]
                found += 1
    return firsts[:found], seconds[:found], compared
