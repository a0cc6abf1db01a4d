"""Simulated beads with known diffusion coefficient, seen as a microscope sees them."""

import numpy as np
import pandas as pd

DT, EXPOSURE, D = 0.02, 0.01, 0.98  # s, s, µm²/s: those of the demo
FIELD, HALF_RANGE, HALF_DEPTH = 19.2, 1.5, 6.0  # µm


def exposed_positions(rng, start, n_frames, diffusion=D, dt=DT, exposure=EXPOSURE):
    """Mean positions over the exposures of free walks, (n_frames, beads, axes), exact at any exposure.

    Over an exposure the mean of a Brownian path between two given ends is their middle plus a Gaussian of variance 2 D t / 12.
    """
    size = (n_frames, *start.shape)
    during = rng.normal(0, np.sqrt(2 * diffusion * exposure), size)
    after = rng.normal(0, np.sqrt(2 * diffusion * (dt - exposure)), size)
    opened = start + np.cumsum(during + after, axis=0) - during - after
    return opened + during / 2 + rng.normal(0, np.sqrt(2 * diffusion * exposure / 12), size)


def folded(position, low, high):
    """`position` reflected at walls at `low` and `high`."""
    width = high - low
    return low + width - np.abs((position - low) % (2 * width) - width)


def flowing(rng, start, n_frames, diffusion):
    """Free walks in a flow of half a step a frame along x; what flows out on one side comes in on the other."""
    drift = 0.5 * np.sqrt(2 * diffusion * DT) * np.arange(n_frames)[:, None, None] * np.array([1.0, 0.0, 0.0])
    position = exposed_positions(rng, start, n_frames, diffusion) + drift
    position[..., 0] = (position[..., 0] + 3.0) % (FIELD + 6.0) - 3.0
    return position


def two_kinds(rng, start, n_frames, diffusion):
    """Half of the beads with a quarter of the diffusion coefficient."""
    fast, slow = (exposed_positions(rng, start, n_frames, d) for d in (diffusion, diffusion / 4))
    return np.where((np.arange(len(start)) % 2 == 0)[:, None], fast, slow)


def caged(rng, start, n_frames, diffusion):
    """Each bead in a box of its own, three steps wide."""
    half = 1.5 * np.sqrt(2 * diffusion * DT)
    moved = exposed_positions(rng, np.zeros_like(start), n_frames, diffusion)
    return start + folded(moved, -half, half)


def subdiffusive(rng, start, n_frames, diffusion, alpha=0.7, fine=4):
    """Fractional Brownian motion whose steps of a frame vary as those of `diffusion`, averaged over the first half of each frame.

    Exact increments by circulant embedding (Davies and Harte 1987, Biometrika 74, 95).
    """
    n = n_frames * fine
    lags = np.arange(n + 1.0)
    covariance = 0.5 * ((lags + 1) ** alpha + np.abs(lags - 1) ** alpha - 2 * lags**alpha) * 2 * diffusion * DT / fine**alpha
    power = np.fft.fft(np.concatenate([covariance, covariance[-2:0:-1]])).real.clip(0)
    noise = rng.normal(size=(len(power), *start.shape)) + 1j * rng.normal(size=(len(power), *start.shape))
    step = np.fft.fft(np.sqrt(power / len(power))[:, None, None] * noise, axis=0).real[:n]
    path = start + np.cumsum(step, axis=0)
    return path.reshape(n_frames, fine, *start.shape)[:, : fine // 2].mean(axis=1)


def movie(
    rng,
    density,
    n_frames,
    sigma=(0.015, 0.015, 0.05),
    missing=0.0,
    spurious=0.0,
    tails=0.0,
    diffusion=D,
    truth=False,
    half_range=HALF_RANGE,
    walk=exposed_positions,
):
    """Localizations of a movie: `density` beads per µm² within the axial range, walls at ±6 µm and 3 µm beside the field.

    `missing`: share of localizations lost at random; `spurious`: false ones per true one; `tails`: share with three times the error.
    """
    low = np.array([-3.0, -3.0, -HALF_DEPTH])
    high = np.array([FIELD + 3.0, FIELD + 3.0, HALF_DEPTH])
    n_beads = rng.poisson(density / (2 * half_range) * np.prod(high - low))
    start = rng.uniform(low, high, (n_beads, 3))
    position = folded(walk(rng, start, n_frames, diffusion), low, high)
    frame, bead = np.meshgrid(np.arange(n_frames), np.arange(n_beads), indexing="ij")
    seen = (np.abs(position[..., 2]) < half_range) & ((position[..., :2] > 0) & (position[..., :2] < FIELD)).all(axis=-1)
    seen &= rng.random(seen.shape) >= missing
    found, frame, bead = position[seen], frame[seen], bead[seen]
    found = found + rng.normal(0, sigma, found.shape) * np.where(rng.random((len(found), 1)) < tails, 3.0, 1.0)
    n_false = rng.poisson(spurious * len(found))
    false = rng.uniform([0, 0, -half_range], [FIELD, FIELD, half_range], (n_false, 3))
    table = pd.DataFrame(np.concatenate([found, false]), columns=["x_um", "y_um", "z_um"])
    table.insert(0, "frame", np.concatenate([frame, rng.integers(0, n_frames, n_false)]))
    table[["sigma_x_um", "sigma_y_um", "sigma_z_um"]] = sigma
    table["flag"] = 0
    if truth:
        table["bead"] = np.concatenate([bead, -np.ones(n_false, np.int64)])
    return table.sort_values("frame", kind="stable").reset_index(drop=True)


def errors_by_height(height_um):
    """Standard deviation of localization errors in x, y and z, (..., 3) µm: a few times larger at the ends of the range than near focus."""
    return (0.01 + 0.03 * np.asarray(height_um)[..., None] ** 2) * np.array([1.0, 1.0, 2.0])


def seen_with(errors_um, diffusion, seed, n_frames=200):
    """Beads of a cloud, as `movie` has them, with errors that are a function of the height."""
    rng = np.random.default_rng(seed)
    low = np.array([-1.0, -1.0, -2.5])
    high = np.array([FIELD + 1, FIELD + 1, 2.5])
    start = rng.uniform(low, high, (int(0.04 * np.prod(high - low)), 3))
    path = np.stack([folded(p, a, b) for p, a, b in zip(np.moveaxis(exposed_positions(rng, start, n_frames, diffusion), 2, 0), low, high)], -1)
    seen = path + rng.normal(size=path.shape) * errors_um(path[..., 2])
    inside = (abs(seen[..., 2]) < HALF_RANGE) & ((seen[..., :2] > 0) & (seen[..., :2] < FIELD)).all(axis=-1)
    frame, bead = np.nonzero(inside)
    sigma = dict(zip([f"sigma_{axis}_um" for axis in "xyz"], errors_um(path[..., 2])[inside].T))
    return pd.DataFrame(seen[inside], columns=["x_um", "y_um", "z_um"]).assign(frame=frame, bead=bead, flag=0, **sigma)
