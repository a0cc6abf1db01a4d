"""Sums over the pixels of a frame that make the normal equations of its beads and background, and their solution: compiled."""

import numba
import numpy as np


@numba.njit(nogil=True, cache=True)
def _shared(corners, reach, half, a, b, rows, columns):
    """First and last row (exclusive), first and last column of a frame that lie within the reach of both beads."""
    top = max(corners[a, 0] - reach[a], corners[b, 0] - reach[b]) + half
    bottom = min(corners[a, 0] + reach[a], corners[b, 0] + reach[b]) + half + 1
    left = max(corners[a, 1] - reach[a], corners[b, 1] - reach[b]) + half
    right = min(corners[a, 1] + reach[a], corners[b, 1] + reach[b]) + half + 1
    return max(top, 0), min(bottom, rows), max(left, 0), min(right, columns)


@numba.njit(nogil=True, cache=True, fastmath=True)
def assemble(pictures, slots, scales, corners, reach, which, weight, residual, row_hats, column_hats):
    """Sums over pixels of products of derivatives; those of a bead count in a square around it, those of a node in its hat.

    `which`: numbers of the beads that they are for, ascending; then come the nodes. A bead's `pictures` are those in its slot.
    """
    rows, columns = weight.shape
    count, node_rows, node_columns = len(which), len(row_hats), len(column_hats)
    size = pictures.shape[2]
    half = size // 2
    total = 5 * count + node_rows * node_columns
    information, gradient = np.zeros((total, total)), np.zeros(total)
    weighted = np.zeros((5, size, size), np.float32)
    one, other = np.empty((5, size * size), np.float32), np.empty((5, size * size), np.float32)
    sums = np.zeros((5, 5))
    for m in range(count):
        a = which[m]
        first, last, start, stop = _shared(corners, reach, half, a, a, rows, columns)
        if start >= stop:
            continue
        slopes = _weigh(pictures[slots[a]], corners[a], first, last, start, stop, weight, residual, weighted)
        gradient[5 * m : 5 * m + 5] = slopes * scales[a]
        for n in range(m, count):
            b = which[n]
            top, bottom, left, right = _shared(corners, reach, half, a, b, rows, columns)
            if top >= bottom or left >= right:
                continue
            _gather(weighted, corners[a], top, bottom, left, right, one)
            length = _gather(pictures[slots[b]], corners[b], top, bottom, left, right, other)
            _multiply(one, other, length, sums)
            for p in range(5):
                for q in range(5):
                    value = sums[p, q] * scales[a, p] * scales[b, q]
                    information[5 * m + p, 5 * n + q] = value
                    information[5 * n + q, 5 * m + p] = value
        if node_rows:
            shared = information[5 * m : 5 * m + 5, 5 * count :]
            _add_nodes(shared, weighted, scales[a], corners[a], first, last, start, stop, row_hats, column_hats)
    if node_rows:
        _add_background(information, gradient, 5 * count, weight, residual, row_hats, column_hats)
    return information, gradient


@numba.njit(nogil=True, cache=True, fastmath=True)
def own_information(pictures, slots, scales, corners, reach, weight):
    """What `assemble` gives for each bead on its own, (beads, 5, 5)."""
    rows, columns = weight.shape
    count, size = len(slots), pictures.shape[2]
    information = np.zeros((count, 5, 5))
    weighted = np.zeros((5, size, size), np.float32)
    one, other = np.empty((5, size * size), np.float32), np.empty((5, size * size), np.float32)
    sums = np.zeros((5, 5))
    for a in range(count):
        top, bottom, left, right = _shared(corners, reach, size // 2, a, a, rows, columns)
        if left >= right or top >= bottom:
            continue
        _weigh(pictures[slots[a]], corners[a], top, bottom, left, right, weight, weight, weighted)  # no residual is asked for
        _gather(weighted, corners[a], top, bottom, left, right, one)
        length = _gather(pictures[slots[a]], corners[a], top, bottom, left, right, other)
        _multiply(one, other, length, sums)
        information[a] = sums * np.outer(scales[a], scales[a])
    return information


@numba.njit(nogil=True, cache=True, fastmath=True)
def own_gradient(pictures, slots, scales, corners, reach, residual):
    """The part of `assemble`'s gradient that is the beads', (beads, 5); `residual` times weight."""
    rows, columns = residual.shape
    count, half = len(slots), pictures.shape[2] // 2
    gradient = np.zeros((count, 5))
    for a in range(count):
        top, bottom, left, right = _shared(corners, reach, half, a, a, rows, columns)
        for i in range(top, bottom if left < right else top):
            line = residual[i, left:right]
            for p in range(5):
                own, along = pictures[slots[a], p, i - corners[a, 0], left - corners[a, 1] :], np.float32(0)
                for j in range(len(line)):
                    along += own[j] * line[j]
                gradient[a, p] += along
    return gradient * scales


@numba.njit(nogil=True, cache=True, fastmath=True)
def _gather(pictures, corner, top, bottom, left, right, out):
    """Copy that window of a bead's five pictures to `out` (5, pixels), row after row; the number of pixels."""
    width = right - left
    for p in range(5):
        for i in range(top, bottom):
            line, to = pictures[p, i - corner[0], left - corner[1] :], out[p, (i - top) * width :]
            for j in range(width):
                to[j] = line[j]
    return (bottom - top) * width


@numba.njit(nogil=True, cache=True, fastmath=True)
def _multiply(one, other, length, sums):
    """Write the sums of the products of each of five lines with each of five others to `sums` (5, 5)."""
    w0, w1, w2, w3, w4 = one[0, :length], one[1, :length], one[2, :length], one[3, :length], one[4, :length]
    for q in range(5):
        line = other[q, :length]
        s0, s1, s2, s3, s4 = np.float32(0), np.float32(0), np.float32(0), np.float32(0), np.float32(0)
        for j in range(length):
            value = line[j]
            s0 += w0[j] * value
            s1 += w1[j] * value
            s2 += w2[j] * value
            s3 += w3[j] * value
            s4 += w4[j] * value
        sums[0, q], sums[1, q], sums[2, q], sums[3, q], sums[4, q] = s0, s1, s2, s3, s4


@numba.njit(nogil=True, cache=True, fastmath=True)
def assemble_light(pictures, slots, corners, reach, weight, residual, row_hats, column_hats):
    """What `assemble` gives for brightness and background alone."""
    rows, columns = weight.shape
    count, node_rows, node_columns = len(slots), len(row_hats), len(column_hats)
    size = pictures.shape[2]
    half = size // 2
    total = count + node_rows * node_columns
    information, gradient = np.zeros((total, total)), np.zeros(total)
    weighted, scale = np.zeros((1, size, size), np.float32), np.ones(1)
    for a in range(count):
        first, last, start, stop = _shared(corners, reach, half, a, a, rows, columns)
        if start >= stop:
            continue
        gradient[a] = _weigh(pictures[slots[a], 3:4], corners[a], first, last, start, stop, weight, residual, weighted)[0]
        for b in range(a, count):
            top, bottom, left, right = _shared(corners, reach, half, a, b, rows, columns)
            if top >= bottom or left >= right:
                continue
            both = 0.0
            for i in range(top, bottom):
                mine = weighted[0, i - corners[a, 0], left - corners[a, 1] : right - corners[a, 1]]
                other = pictures[slots[b], 3, i - corners[b, 0], left - corners[b, 1] : right - corners[b, 1]]
                line = np.float32(0)
                for j in range(len(mine)):
                    line += mine[j] * other[j]
                both += line
            information[a, b] = information[b, a] = both
        if node_rows:
            shared = information[a : a + 1, count:]
            _add_nodes(shared, weighted, scale, corners[a], first, last, start, stop, row_hats, column_hats)
    if node_rows:
        _add_background(information, gradient, count, weight, residual, row_hats, column_hats)
    return information, gradient


@numba.njit(nogil=True, cache=True, fastmath=True)
def _weigh(pictures, corner, top, bottom, left, right, weight, residual, weighted):
    """Products of a bead's slopes with the weighted residual, and, written to `weighted`, with the weight, in that window."""
    sums = np.zeros(len(pictures))
    for p in range(len(pictures)):
        for i in range(top, bottom):
            own, out = pictures[p, i - corner[0], left - corner[1] :], weighted[p, i - corner[0], left - corner[1] :]
            weights, left_over = weight[i, left:right], residual[i, left:right]
            along = np.float32(0)
            for j in range(len(weights)):
                out[j] = own[j] * weights[j]
                along += own[j] * left_over[j]
            sums[p] += along
    return sums


@numba.njit(nogil=True, cache=True, fastmath=True)
def _add_nodes(shared, weighted, scale, corner, top, bottom, left, right, row_hats, column_hats):
    """Write to `shared` (slopes, nodes) what the weighted slopes of a bead, in that window, have in common with the background's hats."""
    (node_rows, _), (node_columns, _) = row_hats.shape, column_hats.shape
    along = np.empty(right - left, np.float32)
    for p in range(len(shared)):
        for u in range(node_rows):
            if not _sum_rows(row_hats[u], top, bottom, weighted[p], corner, left, along):
                continue
            for v in range(node_columns):
                hat, both = column_hats[v, left:right], np.float32(0)
                for j in range(len(along)):
                    both += along[j] * hat[j]
                shared[p, u * node_columns + v] = both * scale[p]


@numba.njit(nogil=True, cache=True, fastmath=True)
def _sum_rows(factors, top, bottom, image, corner, left, out):
    """Write to `out` the sum of the rows of an `image` at `corner` of the frame, each times its of `factors`; whether any is not 0."""
    out[:] = 0
    some = False
    for i in range(top, bottom):
        factor = factors[i]
        if factor == 0:
            continue
        some, line = True, image[i - corner[0], left - corner[1] :]
        for j in range(len(out)):
            out[j] += factor * line[j]
    return some


@numba.njit(nogil=True, cache=True, fastmath=True)
def _add_background(information, gradient, beads, weight, residual, row_hats, column_hats):
    """Add the nodes' own part to what `assemble` sums, and mirror what they share with the `beads` first parameters."""
    rows, columns = weight.shape
    node_rows, node_columns = len(row_hats), len(column_hats)
    total = len(gradient)
    along, origin = np.empty(columns, np.float32), np.zeros(2, np.int64)
    for u in range(node_rows):
        _sum_rows(row_hats[u], 0, rows, residual, origin, 0, along)
        for v in range(node_columns):
            gradient[beads + u * node_columns + v] = (along * column_hats[v]).sum()
        for n in range(u, min(u + 2, node_rows)):
            _sum_rows(row_hats[u] * row_hats[n], 0, rows, weight, origin, 0, along)
            for v in range(node_columns):
                for k in range(v, min(v + 2, node_columns)):
                    both = (along * column_hats[v] * column_hats[k]).sum()
                    for one, other in ((v, k), (k, v)):
                        first, second = beads + u * node_columns + one, beads + n * node_columns + other
                        information[first, second] = information[second, first] = both
    for p in range(beads):
        for q in range(beads, total):
            information[q, p] = information[p, q]


@numba.njit(nogil=True, cache=True, fastmath=True)
def solution(information, right, damping):
    """Solution (p,) for `information` (p, p), symmetric, with `damping` on its diagonal; raises LinAlgError where it is not positive definite.

    Cholesky as everywhere, but of SciPy's only one thread can be at work: it keeps the interpreter's lock.
    """
    damped, x, count = information.copy(), right.copy(), len(right)
    for i in range(count):
        damped[i, i] += damping
    lower = np.linalg.cholesky(damped)
    for i in range(count):
        row = lower[i, :i]
        known = 0.0
        for j in range(i):
            known += row[j] * x[j]
        x[i] = (x[i] - known) / lower[i, i]
    for i in range(count - 1, -1, -1):
        row = lower[i, :i]
        x[i] /= lower[i, i]
        for j in range(i):
            x[j] -= row[j] * x[i]
    return x
