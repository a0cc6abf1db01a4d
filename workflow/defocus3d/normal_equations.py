"""Sums over the pixels of a frame that make the normal equations of its beads and background: compiled."""

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
def assemble(pictures, scales, corners, reach, weight, residual, row_hats, column_hats):
    """Sums over pixels of products of derivatives; those of a bead count in a square around it, those of a node in its hat."""
    rows, columns = weight.shape
    count, node_rows, node_columns = len(pictures), len(row_hats), len(column_hats)
    size = pictures.shape[2]
    half = size // 2
    total = 5 * count + node_rows * node_columns
    information, gradient = np.zeros((total, total)), np.zeros(total)
    weighted = np.zeros((5, size, size), np.float32)
    sums = np.zeros((5, 5))
    for a in range(count):
        first, last, start, stop = _shared(corners, reach, half, a, a, rows, columns)
        up = corners[a, 0]
        if start >= stop:
            continue
        slopes = _weigh(pictures[a], corners[a], first, last, start, stop, weight, residual, weighted)
        gradient[5 * a : 5 * a + 5] = slopes * scales[a]
        for b in range(a, count):
            top, bottom, left, right = _shared(corners, reach, half, a, b, rows, columns)
            if top >= bottom or left >= right:
                continue
            sums[:] = 0.0
            for i in range(top, bottom):
                ia, ib, ja, jb, width = i - up, i - corners[b, 0], left - corners[a, 1], left - corners[b, 1], right - left
                w0, w1, w2 = weighted[0, ia, ja : ja + width], weighted[1, ia, ja : ja + width], weighted[2, ia, ja : ja + width]
                w3, w4 = weighted[3, ia, ja : ja + width], weighted[4, ia, ja : ja + width]
                for q in range(5):
                    other = pictures[b, q, ib, jb : jb + width]
                    s0, s1, s2, s3, s4 = np.float32(0), np.float32(0), np.float32(0), np.float32(0), np.float32(0)
                    for j in range(width):
                        value = other[j]
                        s0 += w0[j] * value
                        s1 += w1[j] * value
                        s2 += w2[j] * value
                        s3 += w3[j] * value
                        s4 += w4[j] * value
                    sums[0, q] += s0
                    sums[1, q] += s1
                    sums[2, q] += s2
                    sums[3, q] += s3
                    sums[4, q] += s4
            for p in range(5):
                for q in range(5):
                    value = sums[p, q] * scales[a, p] * scales[b, q]
                    information[5 * a + p, 5 * b + q] = value
                    information[5 * b + q, 5 * a + p] = value
        if node_rows:
            shared = information[5 * a : 5 * a + 5, 5 * count :]
            _add_nodes(shared, weighted, scales[a], corners[a], first, last, start, stop, row_hats, column_hats)
    if node_rows:
        _add_background(information, gradient, 5 * count, weight, residual, row_hats, column_hats)
    return information, gradient


@numba.njit(nogil=True, cache=True, fastmath=True)
def assemble_light(pictures, corners, reach, weight, residual, row_hats, column_hats):
    """What `assemble` gives for brightness and background alone."""
    rows, columns = weight.shape
    count, node_rows, node_columns = len(pictures), len(row_hats), len(column_hats)
    size = pictures.shape[2]
    half = size // 2
    total = count + node_rows * node_columns
    information, gradient = np.zeros((total, total)), np.zeros(total)
    weighted, scale = np.zeros((1, size, size), np.float32), np.ones(1)
    for a in range(count):
        first, last, start, stop = _shared(corners, reach, half, a, a, rows, columns)
        if start >= stop:
            continue
        gradient[a] = _weigh(pictures[a, 3:4], corners[a], first, last, start, stop, weight, residual, weighted)[0]
        for b in range(a, count):
            top, bottom, left, right = _shared(corners, reach, half, a, b, rows, columns)
            if top >= bottom or left >= right:
                continue
            both = 0.0
            for i in range(top, bottom):
                mine = weighted[0, i - corners[a, 0], left - corners[a, 1] : right - corners[a, 1]]
                other = pictures[b, 3, i - corners[b, 0], left - corners[b, 1] : right - corners[b, 1]]
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
def expose(pictures, corners, photons, expected):
    """Add the light of beads to `expected`."""
    rows, columns = expected.shape
    size = pictures.shape[2]
    for a in range(len(pictures)):
        top, left = corners[a]
        start, stop = max(0, -left), min(size, columns - left)
        for i in range(max(0, -top), min(size, rows - top)):
            own = pictures[a, 3, i, start : max(start, stop)]
            line = expected[top + i, left + start :]
            for j in range(len(own)):
                line[j] += photons[a] * own[j]


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
    """Add to `shared` (slopes, nodes) what the weighted slopes of a bead, in that window, have in common with the background's hats."""
    (node_rows, rows), (node_columns, columns) = row_hats.shape, column_hats.shape
    row_cells, before = _cells(rows, node_rows), _cells(columns, node_columns)[left]
    for p in range(len(shared)):
        for i in range(top, bottom):
            u, line = row_cells[i], weighted[p, i - corner[0]]
            for v in range(before, node_columns - 1):
                low, high = 0.0, 0.0
                for j in range(max(left, _first(v, columns, node_columns)), min(right, _first(v + 1, columns, node_columns))):
                    low += line[j - corner[1]] * column_hats[v, j]
                    high += line[j - corner[1]] * column_hats[v + 1, j]
                for m in range(2):
                    first, mine = (u + m) * node_columns + v, row_hats[u + m, i]
                    shared[p, first] += mine * low * scale[p]
                    shared[p, first + 1] += mine * high * scale[p]
                if _first(v + 1, columns, node_columns) >= right:
                    break


@numba.njit(nogil=True, cache=True)
def _cells(count, nodes):
    """For each of `count` pixels, the number of the node before it: two nodes matter to it, this one and the next."""
    cells = np.zeros(count, np.int64)
    for v in range(nodes - 1):
        cells[_first(v, count, nodes) :] = v
    return cells


@numba.njit(nogil=True, cache=True, inline="always")
def _first(node, count, nodes):
    """First of `count` pixels that lies at or beyond a node; `count` for the last node, whose pixel belongs to the cell before."""
    return count if node >= nodes - 1 else -((-node * (count - 1)) // (nodes - 1))


@numba.njit(nogil=True, cache=True, fastmath=True)
def _add_background(information, gradient, beads, weight, residual, row_hats, column_hats):
    """Add the nodes' own part to what `assemble` sums, and mirror what they share with the `beads` first parameters."""
    rows, columns = weight.shape
    node_rows, node_columns = len(row_hats), len(column_hats)
    total = len(gradient)
    row_cells = _cells(rows, node_rows)
    for i in range(rows):
        u = row_cells[i]
        for v in range(node_columns - 1):
            g0, g1, s00, s01, s11 = 0.0, 0.0, 0.0, 0.0, 0.0
            for j in range(_first(v, columns, node_columns), _first(v + 1, columns, node_columns)):
                low, high = column_hats[v, j], column_hats[v + 1, j]
                g0 += low * residual[i, j]
                g1 += high * residual[i, j]
                s00 += low * low * weight[i, j]
                s01 += low * high * weight[i, j]
                s11 += high * high * weight[i, j]
            for m in range(2):
                first, mine = beads + (u + m) * node_columns + v, row_hats[u + m, i]
                gradient[first] += mine * g0
                gradient[first + 1] += mine * g1
                for n in range(2):
                    second, both = beads + (u + n) * node_columns + v, mine * row_hats[u + n, i]
                    information[first, second] += both * s00
                    information[first, second + 1] += both * s01
                    information[first + 1, second] += both * s01
                    information[first + 1, second + 1] += both * s11
    for p in range(beads):
        for q in range(beads, total):
            information[q, p] = information[p, q]
