"""Beads registered to sub-pixel and pooled into one PSF: the two take turns."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter, gaussian_filter1d, map_coordinates, shift

from defocus3d.beads import NoBeadError, Stack, assign_roles, candidates, footprint, judge, reject_odd, territory
from defocus3d.errors import InputError
from defocus3d.psf import PSF
from defocus3d.rendering import gradients, normal_equations

KNOT_STEP_UM = 0.1  # planes of the PSF lie no closer: well below the depth of field of any objective, and it averages noise
AUTO_MARGIN_UM = 0.3  # an axial range of `auto` ends this far within what the stacks cover
SHORTEST_UM = 0.2  # a shorter one is a mistake
FEWEST_BEADS = 2  # whose images tell what they share from their noise
RANGE_MARGIN_UM = 0.7  # the PSF reaches this far beyond the axial range, where the stacks do
RIM = 0.75  # of the footprint's radius, from which on its darkest planes are taken for dark
ROUNDS = 8  # of registering and pooling; the PSF changes by less than its noise afterwards


def measure_psf(stacks: list[Stack], pixel_size_um: float, axial_range_um, settings: dict, seed: int) -> tuple[PSF, pd.DataFrame]:
    """The PSF of one optics, and a table of all beads found.

    Parameters
    ----------
    stacks : list of Stack
    pixel_size_um : float
    axial_range_um : (float, float) or "auto"
        The range that localization will cover; the PSF reaches a little beyond it. "auto": what the stacks cover, less a margin.
    settings : dict
        `footprint_um` (number or "auto"), `held_out_fraction`, `detection_snr`.
    seed : int
        Draws the held-out beads, which are registered but not pooled.

    Returns
    -------
    PSF, and a DataFrame with columns stack (index), bead, x_px, y_px, focus_um, photons, extra_e, residual, reason, role.

    Raises
    ------
    NoBeadError
        Where no bead is found, or fewer than two can be used.
    InputError
        Where the stacks do not show the beads over the axial range, or over none.
    """
    beads = candidates(stacks, settings["detection_snr"])
    if axial_range_um == "auto":
        axial_range_um = _range_within(_shown_um(stacks, beads))
    if settings["footprint_um"] == "auto":
        reach = footprint(stacks, beads, (axial_range_um[0] - 0.3, axial_range_um[1] + 0.3))
    else:
        reach = int(np.ceil(settings["footprint_um"] / pixel_size_um))
    judge(beads, stacks, reach)
    assign_roles(beads, settings["held_out_fraction"], seed)
    if (beads["role"] == "psf").sum() < FEWEST_BEADS:
        raise NoBeadError(
            f"only one of {len(beads)} beads can be used, and a PSF takes {FEWEST_BEADS} to tell image from noise: record more isolated ones"
        )
    # best focus is in it too, or the sharpest plane of a range on one side would be taken for it
    shown = _shown_um(stacks, beads[beads["role"] == "psf"])
    _refuse_beyond(shown, axial_range_um)
    low, high = max(min(axial_range_um[0], 0) - RANGE_MARGIN_UM, shown[0]), min(max(axial_range_um[1], 0) + RANGE_MARGIN_UM, shown[1])
    step = max(KNOT_STEP_UM, min(float(np.mean(np.diff(s.stage_um))) for s in stacks))
    count = int(np.floor((high - low) / step + 1e-6)) + 1
    pool = Pool(stacks, beads, PSF(np.zeros((count, 2 * reach + 1, 2 * reach + 1)), pixel_size_um, low, step, tuple(axial_range_um)))
    pool.pool("psf")
    for _ in range(ROUNDS):
        pool.register_all()
        reject_odd(beads)
        pool.pool("psf")
    pool.recentre()
    pool.register_all()
    return pool.psf, beads


def _shown_um(stacks: list[Stack], beads: pd.DataFrame) -> np.ndarray:
    """Lowest and highest height at which the stacks show the beads, medians over beads."""
    return np.median([[stacks[b.stack].stage_um[k] - b.focus_um for b in beads.itertuples()] for k in (0, -1)], axis=1)


def _range_within(shown_um) -> np.ndarray:
    """The axial range for `auto`. Raises InputError where none is left."""
    axial_range_um = np.round(shown_um + (AUTO_MARGIN_UM, -AUTO_MARGIN_UM), 2)
    if np.diff(axial_range_um) < SHORTEST_UM:
        raise InputError(
            f"the stacks cover {np.ptp(shown_um):.2f} µm around their beads, too little to localize in: is z_step_um right? Else record longer stacks"
        )
    return axial_range_um


def _refuse_beyond(shown_um, axial_range_um) -> None:
    """Raises InputError where the axial range reaches beyond what the stacks show, by more than a plane of the PSF."""
    (low, high), (first, last), short = shown_um, axial_range_um, []
    if low > first + KNOT_STEP_UM:
        short.append(f"from {low:.2f} µm")
    if high < last - KNOT_STEP_UM:
        short.append(f"to {high:.2f} µm")
    if short:
        raise InputError(
            f"the beads are in focus off the middle of their stacks, which show them only {' '.join(short)} from focus, and "
            f"axial_range_um is {first:g} to {last:g}: narrow it or set it to auto, or record stacks that reach farther"
        )


def register(data, stage_um, variance, mask, psf: PSF, start, steps: int = 6) -> tuple[np.ndarray, float]:
    """Place of one bead and its misfit: (x, y in pixels from the middle, focus in µm, photons, extra background), residual.

    Gauss-Newton on all planes at once of `data` (planes, n, n) less background, weighted by `variance`; `mask` (n, n) leaves out what
    belongs to others. The residual is the rms misfit over the mask, relative to the rms of the model.
    """
    place = np.array(start, float)
    low, high = psf.z_range_um
    limit = np.array([1.0, 1.0, 0.3, np.inf, np.inf])  # half an airy disc, a depth of field: no leap out of the basin
    for _ in range(steps):
        x, y, focus, photons, extra = place
        z = stage_um - focus
        inside = np.flatnonzero((z >= low) & (z <= high))
        normal, gradient, misfit, power = normal_equations(
            psf.coefficients, x, y, psf.knots_of(z[inside])[0], inside, data, variance, mask, photons, extra, psf.z_step_um
        )
        step = np.linalg.lstsq(normal, gradient, rcond=1e-10)[0]
        place = place + np.clip(step, -limit, limit)
        if abs(step[:2]).max() < 1e-3 and abs(step[2]) < 1e-4:
            break
    return place, float(np.sqrt(misfit / max(power, 1e-30)))


@dataclass
class Pool:
    """Stacks, a table of their beads, and the PSF that explains them; `improve` makes one round of registering and pooling."""

    stacks: list[Stack]
    beads: pd.DataFrame
    psf: PSF

    def neighbours(self, bead, rows, columns):
        """Expected photoelectrons (planes, rows, columns) of all other beads in the square around a bead."""
        stack = self.stacks[bead.stack]
        others = self.beads[(self.beads["stack"] == bead.stack) & (self.beads.index != bead.Index)]
        reach = 2 * self.psf.radius_px + 2
        near = others[(abs(others["y_px"] - bead.y_px) < reach) & (abs(others["x_px"] - bead.x_px) < reach)]
        shape = (rows.stop - rows.start, columns.stop - columns.start)
        out = np.zeros((len(stack.stage_um), *shape))
        if len(near):
            pixel = self.psf.pixel_size_um
            for k, stage in enumerate(stack.stage_um):
                out[k] = self.psf.image((near["x_px"] - columns.start) * pixel, (near["y_px"] - rows.start) * pixel,
                                        stage - near["focus_um"], shape, near["photons"])  # fmt: skip
        return out

    def around(self, bead):
        """Data less background and neighbours, variance, mask, middle (row, column) of the square around a bead."""
        stack, reach = self.stacks[bead.stack], self.psf.radius_px
        row, column = int(round(bead.y_px)), int(round(bead.x_px))
        rows, columns, distance, mine = territory(bead, self.beads, stack, reach)
        pad = ((0, 0), (rows.start - row + reach, row + reach + 1 - rows.stop),
               (columns.start - column + reach, column + reach + 1 - columns.stop))  # fmt: skip
        data = stack.images[:, rows, columns] - stack.background_e[:, None, None] - self.neighbours(bead, rows, columns)
        variance = stack.camera.variance(np.maximum(stack.images[:, rows, columns], stack.background_e[:, None, None]))
        variance = gaussian_filter(variance, (0, 1.5, 1.5)) + 1e-3  # not the noisy pixel itself, which would bias the fit low
        mask = mine & (distance <= reach)
        return np.pad(data, pad), np.pad(variance, pad, constant_values=1.0), np.pad(mask, pad[1:]), (row, column)

    def register_all(self) -> None:
        """Register every bead against the PSF; sets x_px, y_px, focus_um, photons, extra_e, residual."""
        for bead in self.beads[~self.beads["reason"].isin(["border", "saturated"])].itertuples():
            data, variance, mask, (row, column) = self.around(bead)
            start = (bead.x_px - column, bead.y_px - row, bead.focus_um, bead.photons, bead.extra_e)
            (x, y, focus, photons, extra), residual = register(
                data, self.stacks[bead.stack].stage_um, variance, mask, self.psf, start
            )
            if photons <= 0 or max(abs(x), abs(y)) > 4 or not np.isfinite(residual):
                self.beads.loc[bead.Index, ["residual", "photons"]] = np.inf, max(photons, 1.0)
                continue
            columns = ["x_px", "y_px", "focus_um", "photons", "extra_e", "residual"]
            self.beads.loc[bead.Index, columns] = column + x, row + y, focus, photons, extra, residual

    def pool(self, role: str) -> None:
        """Add to the PSF what it leaves unexplained, averaged over the beads of `role` at their registered places."""
        psf = self.psf
        total, weight = np.zeros((2, *psf.values.shape)), np.zeros((2, *psf.values.shape))  # of every other bead, for the noise
        half = psf.radius_px
        for number, bead in enumerate(self.beads[self.beads["role"] == role].itertuples()):
            stack = self.stacks[bead.stack]
            data, _, mask, (row, column) = self.around(bead)
            x, y = bead.x_px - column, bead.y_px - row
            z = stack.stage_um - bead.focus_um
            knots = psf.knots_of(z)[0]
            model = np.stack([gradients(psf.coefficients, x, y, knot, 2 * half + 1)[0] for knot in knots])
            residual = (data - bead.extra_e) / bead.photons - model
            plane_step = float(np.mean(np.diff(stack.stage_um)))
            residual = gaussian_filter1d(residual, max(0.4 * psf.z_step_um / plane_step, 0.01), axis=0, mode="nearest")
            planes = (psf.z_um + bead.focus_um - stack.stage_um[0]) / plane_step
            covered = (planes >= -0.5) & (planes <= len(z) - 0.5)
            knots = np.arange(2 * half + 1)
            at = np.meshgrid(planes[covered], knots + y, knots + x, indexing="ij")
            known = map_coordinates(mask.astype(np.float32), [at[1][0], at[2][0]], order=1) > 0.99
            moved = map_coordinates(residual, at, order=1, mode="nearest")
            total[number % 2, covered] += bead.photons * moved * known
            weight[number % 2, covered] += bead.photons * known
        halves = psf.values + np.where(weight > 0, total / np.maximum(weight, 1e-9), 0.0)
        whole = psf.values + np.where(weight.sum(0) > 0, total.sum(0) / np.maximum(weight.sum(0), 1e-9), 0.0)
        self.psf = _normalised(denoised(whole, halves), psf)

    def recentre(self) -> None:
        """Set z = 0 at best focus, where the image is sharpest (largest sum of squares), and x = y = 0 at its centroid there."""
        psf = self.psf
        sharpness = gaussian_filter1d((psf.values**2).sum(axis=(1, 2)), 1.0)
        best = int(np.clip(np.argmax(sharpness), 1, len(sharpness) - 2))
        before, at, after = sharpness[best - 1 : best + 2]
        best_um = psf.z_um[best] + 0.5 * (before - after) / (before - 2 * at + after) * psf.z_step_um
        core = np.clip(psf.values[best] - 0.2 * psf.values[best].max(), 0, None)
        v, u = np.indices(core.shape) - psf.radius_px
        dy, dx = (v * core).sum() / core.sum(), (u * core).sum() / core.sum()
        values = shift(psf.values, (0, -dy, -dx), order=3)
        self.psf = replace(psf, values=values, z_first_um=psf.z_first_um - best_um)
        self.beads[["x_px", "y_px", "focus_um"]] += [dx, dy, best_um]


def denoised(whole: np.ndarray, halves: np.ndarray) -> np.ndarray:
    """`whole` (planes, n, n), less what its two independent `halves` (2, planes, n, n) do not share; no symmetry is assumed.

    A noisy template pulls fits towards half-pixel places, where interpolation smooths its noise (pixel locking), and networks that
    learn from it take its noise for a sign of z. Each band of lateral and axial frequency is weighted by 2 c / (1 + c), where c is
    the correlation of the halves in the band: the Wiener filter of their mean (Rosenthal and Henderson 2003, J. Mol. Biol. 333, 721).
    """
    planes, n = whole.shape[:2]
    spectra = []
    for values in (whole, *halves):
        mirrored = np.concatenate([values, values[::-1]])  # along z there is no zero border that could wrap around
        spectra.append(np.fft.fftn(np.pad(mirrored, ((0, 0), (0, n // 2), (0, n // 2)))))
    side = spectra[0].shape[1]
    lateral = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side), indexing="ij"))
    band = np.rint(lateral * side / 2).astype(int)

    def sums(product):
        per_plane = np.stack([np.bincount(band.ravel(), plane.real.ravel()) for plane in product])
        both_signs = per_plane + np.roll(per_plane[::-1], 1, axis=0)  # k and -k share a band
        return gaussian_filter(both_signs, (1.0, 0.7), mode=("wrap", "nearest"))

    a, b = spectra[1:]
    shared = sums(a * b.conj()) / np.sqrt(np.maximum(sums(abs(a) ** 2) * sums(abs(b) ** 2), 1e-60))
    gain = np.clip(2 * shared / (1 + np.clip(shared, 0, 1)), 0, 1)
    return np.fft.ifftn(spectra[0] * gain[:, band]).real[:planes, :n, :n]


def _normalised(values, psf: PSF) -> PSF:
    """The PSF of `values`, dark at its rim, faded out over its last two pixels and scaled to sum to 1 where it is sharpest.

    What light is at the rim in its darkest planes might as well be background, which each bead has besides: the data cannot tell. Taken
    for the bead's, a third of a photoelectron a pixel shifts heights far from focus by tens of nanometres.
    """
    half = values.shape[1] // 2
    distance = np.hypot(*np.mgrid[-half : half + 1, -half : half + 1])
    rim = values[:, (distance > RIM * half) & (distance <= half)].mean(axis=1)
    values = (values - gaussian_filter1d(rim, 1.0).min()) * np.clip((half + 0.5 - distance) / 2, 0, 1)
    sharpest = int(np.argmax((values**2).sum(axis=(1, 2))))
    return replace(psf, values=values / values[sharpest].sum())
