"""Images of beads, and their derivatives, from the coefficients of a PSF's spline: compiled.

Compiled functions that call each other share a file. What Numba keeps on disk it compiles anew when the file of the function that was
called changes, but not for a change of another file: after an update, the old code would go on to run.
"""

import numba
import numpy as np


@numba.njit(nogil=True, cache=True, inline="always")
def _taps(position, count, weights, slopes):
    """First knot of the four that matter at `position`, with their B-spline weights and derivatives, kept within the array."""
    first = min(max(int(np.floor(position)) - 1, 0), count - 4)
    t = position - first - 1.0
    s = 1.0 - t
    weights[0] = s * s * s / 6.0
    weights[1] = (4.0 - 6.0 * t * t + 3.0 * t * t * t) / 6.0
    weights[2] = (4.0 - 6.0 * s * s + 3.0 * s * s * s) / 6.0
    weights[3] = t * t * t / 6.0
    slopes[0] = -s * s / 2.0
    slopes[1] = -2.0 * t + 1.5 * t * t
    slopes[2] = 2.0 * s - 1.5 * s * s
    slopes[3] = t * t / 2.0
    return first


@numba.njit(nogil=True, cache=True)
def _mirrored_taps(knot, count):
    """The four of `count` planes that matter at height `knot`, their weights and derivatives; mirrored beyond the ends as the filter assumed."""
    weights, slopes, planes = np.empty(4), np.empty(4), np.empty(4, np.int64)
    first = int(np.floor(knot)) - 1
    t = knot - first - 1.0
    s = 1.0 - t
    weights[:] = (s**3 / 6, (4 - 6 * t * t + 3 * t**3) / 6, (4 - 6 * s * s + 3 * s**3) / 6, t**3 / 6)
    slopes[:] = (-s * s / 2, -2 * t + 1.5 * t * t, 2 * s - 1.5 * s * s, t * t / 2)
    for k in range(4):
        p = abs(first + k)
        planes[k] = 2 * (count - 1) - p if p > count - 1 else p
    return planes, weights, slopes


@numba.njit(nogil=True, cache=True)
def _mirrored(coefficients, knot):
    """Planes of coefficients mixed for height `knot`."""
    planes, weights, _ = _mirrored_taps(knot, len(coefficients))
    plane = np.zeros(coefficients.shape[1:])
    for k in range(4):
        plane += weights[k] * coefficients[planes[k]]
    return plane


@numba.njit(nogil=True, cache=True)
def render(image, coefficients, x_px, y_px, knots, magnifications, photons):
    """Add beads to `image`; places in pixels, heights as `PSF.knots_of` gives them, one entry a bead."""
    rows, columns = image.shape
    n = coefficients.shape[1]
    centre = n // 2
    weights, slopes = np.empty(4), np.empty(4)
    line = np.empty(n)
    for b in range(len(x_px)):
        scale = 1.0 / magnifications[b]
        reach = (centre - 2) * magnifications[b]
        plane = _mirrored(coefficients, knots[b])
        strength = photons[b] * scale * scale
        left, right = max(0, int(np.ceil(x_px[b] - reach))), min(columns, int(np.floor(x_px[b] + reach)) + 1)
        taps = np.empty((max(right - left, 0), 4))
        starts = np.empty(max(right - left, 0), np.int64)
        for j in range(left, right):
            starts[j - left] = _taps((j - x_px[b]) * scale + centre, n, weights, slopes)
            taps[j - left] = weights
        for i in range(max(0, int(np.ceil(y_px[b] - reach))), min(rows, int(np.floor(y_px[b] + reach)) + 1)):
            first = _taps((i - y_px[b]) * scale + centre, n, weights, slopes)
            for m in range(n):
                line[m] = strength * (weights[0] * plane[first, m] + weights[1] * plane[first + 1, m]
                                      + weights[2] * plane[first + 2, m] + weights[3] * plane[first + 3, m])  # fmt: skip
            for j in range(right - left):
                s = starts[j]
                image[i, left + j] += (taps[j, 0] * line[s] + taps[j, 1] * line[s + 1]
                                       + taps[j, 2] * line[s + 2] + taps[j, 3] * line[s + 3])  # fmt: skip


@numba.njit(nogil=True, cache=True)
def gradients(coefficients, dx_px, dy_px, knot, size):
    """Unit image and its derivatives by x, y (per pixel) and z (per knot), shape (4, size, size).

    The bead lies `dx_px`, `dy_px` from the middle pixel of the square; the square must lie within the PSF's footprint and half a
    pixel, what is beyond the footprint is 0.
    """
    out = np.zeros((4, size, size))
    write_gradients(out[0], out[1:], coefficients, dx_px, dy_px, knot, size // 2, (0, size, 0, size))
    return out


@numba.njit(nogil=True, cache=True, fastmath=True, inline="always")
def _mix(out, weights, a, b, c, d):
    """Write the weighted sum of four lines. Inlined, or what calls it cannot be made into vector instructions."""
    w0, w1, w2, w3 = weights[0], weights[1], weights[2], weights[3]
    for m in range(len(out)):
        out[m] = w0 * a[m] + w1 * b[m] + w2 * c[m] + w3 * d[m]


@numba.njit(nogil=True, cache=True, fastmath=True, inline="always")
def _slide(out, weights, line):
    """Write the weighted sums of each four knots of a line that follow each other."""
    w0, w1, w2, w3 = weights[0], weights[1], weights[2], weights[3]
    for j in range(len(out)):
        out[j] = w0 * line[j] + w1 * line[j + 1] + w2 * line[j + 2] + w3 * line[j + 3]


@numba.njit(nogil=True, cache=True, fastmath=True)
def write_gradients(image, slopes, coefficients, dx_px, dy_px, knot, reach, window):
    """Write what `gradients` gives to `image` (size, size) and, within `reach` of its middle pixel, to `slopes` (3 or more, size, size).

    `window` (first row, end, first column, end) is all that is needed: what lies beyond is not to be relied on.
    """
    top, bottom, start, stop = window
    if top >= bottom or start >= stop:
        return
    size, n = image.shape[0], coefficients.shape[1]
    centre, half = n // 2, size // 2
    kind = coefficients.dtype
    wx, sx, wy, sy = np.empty(4, kind), np.empty(4, kind), np.empty(4, kind), np.empty(4, kind)
    position_x = centre - half - dx_px
    first_x = int(np.floor(position_x)) - 1
    _taps(position_x - first_x, 8, wx, sx)  # the knots are a pixel apart: one set of weights serves the whole row
    first_y = int(np.floor(centre - half - dy_px)) - 1
    _taps(centre - half - dy_px - first_y, 8, wy, sy)
    sx, sy = -sx, -sy
    planes, weights_z, slopes_z = _mirrored_taps(knot, len(coefficients))
    wz, sz = weights_z.astype(kind), slopes_z.astype(kind)
    a, b, c, d = (coefficients[planes[0]], coefficients[planes[1]], coefficients[planes[2]], coefficients[planes[3]])
    value, by_y, by_z = np.zeros(n, kind), np.zeros(n, kind), np.zeros(n, kind)
    lines, slope_lines = np.empty((4, n), kind), np.empty((4, n), kind)
    first, last = max(0, -first_x), min(size, n - 3 - first_x)
    left, right = max(first, half - reach, start), min(last, half + reach + 1, stop)
    first, last = min(max(first, start), stop), max(min(last, stop), start)
    low, high = first_x + left, first_x + right + 3  # knots that the slopes need
    for i in range(top, bottom):
        r = first_y + i
        if r < 0 or r + 3 >= n:
            image[i] = 0
            slopes[:3, i] = 0
            continue
        near = abs(i - half) <= reach
        for row in range(r if i == top or r == 0 else r + 3, r + 4):  # three of four rows serve the next pixel too
            _mix(lines[row % 4], wz, a[row], b[row], c[row], d[row])
        l0, l1, l2, l3 = lines[r % 4], lines[(r + 1) % 4], lines[(r + 2) % 4], lines[(r + 3) % 4]
        _mix(value, wy, l0, l1, l2, l3)
        image[i, :first] = 0
        image[i, last:] = 0
        _slide(image[i, first:last], wx, value[first_x + first :])
        if not near:
            continue
        for row in range(r if i == half - reach or i == top or r == 0 else r + 3, r + 4):
            _mix(slope_lines[row % 4, low:high], sz, a[row, low:high], b[row, low:high], c[row, low:high], d[row, low:high])
        z0, z1, z2, z3 = slope_lines[r % 4], slope_lines[(r + 1) % 4], slope_lines[(r + 2) % 4], slope_lines[(r + 3) % 4]
        slopes[:3, i, :first] = 0
        slopes[:3, i, last:] = 0
        _mix(by_y[low:high], sy, l0[low:high], l1[low:high], l2[low:high], l3[low:high])
        _mix(by_z[low:high], wy, z0[low:high], z1[low:high], z2[low:high], z3[low:high])
        _slide(slopes[0, i, left:right], sx, value[low:])
        _slide(slopes[1, i, left:right], wx, by_y[low:])
        _slide(slopes[2, i, left:right], wx, by_z[low:])


@numba.njit(nogil=True, cache=True, fastmath=True)
def draw(pictures, slots, which, coefficients, beads, knots, corners, reach, pixel, blur, rows, columns):
    """Write slopes of the unit images of beads `which`, by their parameters (places per pixel and knot), to `pictures` (slots, 5, size, size).

    Blur adds `blur` times the Laplacian, as diffusion of light would. The slope by brightness is the unit image itself. Others are
    written within the beads' `reach` only, and none is to be relied on where the frame of `rows` and `columns` does not show it.
    """
    size = pictures.shape[2]
    half = size // 2
    image = np.empty((size, size), np.float32)
    for a in which:
        top, left = corners[a]
        rows_seen, columns_seen = (max(0, -top), min(size, rows - top)), (max(0, -left), min(size, columns - left))
        out = pictures[slots[a]]
        unit = out[3]
        around = (max(0, rows_seen[0] - 1), min(size, rows_seen[1] + 1), max(0, columns_seen[0] - 1), min(size, columns_seen[1] + 1))
        x, y = beads[a, 0] / pixel - left - half, beads[a, 1] / pixel - top - half
        write_gradients(unit, out, coefficients, x, y, knots[a], reach[a], around)
        start, stop = columns_seen
        if start >= stop or rows_seen[0] >= rows_seen[1]:
            continue
        if blur > 0:
            image[around[0] : around[1]] = unit[around[0] : around[1]]
            strength, spread = np.float32(beads[a, 4]), np.float32(blur)
            low, high = max(half - reach[a], 1), min(half + reach[a] + 1, size - 1)
            first, last = max(low, start), min(high, stop)
            out[4, half - reach[a] : half + reach[a] + 1, half - reach[a] : half + reach[a] + 1] = 0
            for i in range(max(low, rows_seen[0]), min(high, rows_seen[1])):
                above, line, below = image[i - 1, first:last], image[i, first - 1 : last + 1], image[i + 1, first:last]
                by_blur, own = out[4, i, first:last], unit[i, first:last]
                for j in range(len(own)):
                    by_blur[j] = spread * (above[j] + below[j] + line[j] + line[j + 2] - np.float32(4) * line[j + 1])
                    own[j] += strength * by_blur[j]
        else:
            out[4] = 0


@numba.njit(nogil=True, cache=True, fastmath=True)
def expose(pictures, slots, corners, photons, expected):
    """Add the light of beads to `expected`, from what `draw` wrote."""
    for a in range(len(slots)):
        _expose(expected, pictures[slots[a], 3], corners[a, 0], corners[a, 1], photons[a])


@numba.njit(nogil=True, cache=True, fastmath=True)
def _expose(expected, unit, top, left, photons):
    """Add a bead's light to `expected`: its `unit` image at a corner, as far as it is seen."""
    (rows, columns), size = expected.shape, len(unit)
    start, stop = max(0, -left), min(size, columns - left)
    for i in range(max(0, -top), min(size, rows - top)):
        line, own = expected[top + i, left + start :], unit[i, start : max(start, stop)]
        for j in range(len(own)):
            line[j] += photons * own[j]


@numba.njit(nogil=True, cache=True)
def normal_equations(coefficients, x, y, knots, planes, data, variance, mask, photons, extra, z_step_um):
    """Curvature and gradient of the weighted squares for (x, y, focus, photons, extra); summed squares of misfit and of model."""
    size = data.shape[1]
    normal, gradient, row = np.zeros((5, 5)), np.zeros(5), np.ones(5)
    misfit, power = 0.0, 0.0
    for k in range(len(knots)):
        unit = gradients(coefficients, x, y, knots[k], size)
        for i in range(size):
            for j in range(size):
                if mask[i, j]:
                    row[0] = photons * unit[1, i, j]
                    row[1] = photons * unit[2, i, j]
                    row[2] = -photons / z_step_um * unit[3, i, j]
                    row[3] = unit[0, i, j]
                    residual = data[planes[k], i, j] - photons * unit[0, i, j] - extra
                    weight = 1.0 / variance[planes[k], i, j]
                    misfit += residual * residual
                    power += (photons * unit[0, i, j]) ** 2
                    for p in range(5):
                        gradient[p] += weight * row[p] * residual
                        for q in range(5):
                            normal[p, q] += weight * row[p] * row[q]
    return normal, gradient, misfit, power
