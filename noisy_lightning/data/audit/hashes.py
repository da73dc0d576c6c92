"""All pairs of 64-bit hashes that differ in a few bits, exactly and without comparing each hash with each."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Pairs = NDArray[np.int64]
_ROWS = 256  # hashes that are compared with the rest of their bucket at once, small enough for the cache
_LATER = np.triu(np.ones((_ROWS, _ROWS), bool), 1)
_MOST_COMPARED, _MOST_FOUND = 5 * 10**9, 2 * 10**7  # about 20 seconds, and 0.3 GB


def close_pairs(hashes: Hashes, bits: int) -> Pairs | None:
    """Return the pairs (m, 2) of positions, i < j, whose hashes differ in at most `bits` bits.

    The bits are dealt into one band more than may differ, so that the hashes of a pair are equal in at least one band
    (multi-index hashing, Norouzi et al., CVPR 2012).

    Args:
        hashes: (n,).
        bits: How many, in [0, 10].

    Returns:
        The pairs; None where the hashes are so much alike that finding them would take too long.
    """
    keys = _bands(hashes, bits + 1)
    buckets = [np.unique(key, return_counts=True)[1].astype(np.float64) for key in keys]
    if sum((sizes * (sizes - 1) / 2).sum() for sizes in buckets) > _MOST_COMPARED:
        return None
    found: list[Pairs] = [np.empty((0, 2), np.int64)]
    count = 0
    for band, key in enumerate(keys):
        for pairs in _in_buckets(hashes, key, bits):
            # Those that an earlier band has found are known.
            known = [earlier[pairs[:, 0]] == earlier[pairs[:, 1]] for earlier in keys[:band]]
            found.append(pairs[~np.any(known, axis=0)] if band else pairs)
            count += len(found[-1])
            if count > _MOST_FOUND:
                return None
    return np.concatenate(found)


def _bands(hashes: Hashes, count: int) -> list[NDArray[np.int64]]:
    """Return the parts (n,) that hashes are cut into."""
    bits = np.unpackbits(np.ascontiguousarray(hashes)[:, None].view(np.uint8), axis=1)
    # A band of bits that hardly vary would put most hashes into one bucket: these bits are spread over all bands.
    order = np.argsort(np.abs(2 * bits.sum(0, dtype=np.int64) - len(bits)), kind="stable")
    return [bits[:, order[band::count]] @ (1 << np.arange(len(order[band::count]))) for band in range(count)]


def _in_buckets(hashes: Hashes, key: NDArray[np.int64], bits: int) -> Iterator[Pairs]:
    """Yield the close pairs among hashes of the same key."""
    order = np.argsort(key, kind="stable")
    edges = np.flatnonzero(np.diff(key[order], prepend=-1, append=-1))
    for start, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        for first in range(start, end - 1, _ROWS):
            rows, rest = order[first : min(first + _ROWS, end)], order[first:end]
            near = np.bitwise_count(hashes[rows, None] ^ hashes[rest]) <= bits
            near[:, : len(rows)] &= _LATER[: len(rows), : len(rows)]
            one, other = np.nonzero(near)
            if len(one):
                yield np.sort(np.stack([rows[one], rest[other]], 1), axis=1)
