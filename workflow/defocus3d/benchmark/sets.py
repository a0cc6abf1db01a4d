"""The benchmark's data sets: what swims in them, and how much of each there is."""

from dataclasses import dataclass, replace

BEAD_DIAMETER_UM, TEMPERATURE_C = 0.5, 25.0  # which give the diffusion; the image is that of a point
EXPOSURE_S, INSTANT_S = 0.01, 1e-6
INTERVAL_S = 2.0  # so long that frames are as good as independent
PIXEL_UM = 0.1
AXIAL_RANGE_UM = (-1.5, 1.5)
SCORED_UM = (-1.4, 1.4)  # beads within must be found; those between it and the range count neither way


@dataclass(frozen=True)
class DataSet:
    """One movie.

    Attributes
    ----------
    density_per_um2 : float
        Beads within the axial range, per area; 0: nine beads a frame on a grid, far from each other.
    photons, background_e : float
        Photoelectrons of a bead, and of the background in a pixel.
    frames, side_px : int
    moving : bool
        Whether beads diffuse during the exposure.
    depth_um : float
        Beads are this far from focus at most: 1.5 is the axial range, 6 has many beyond it.
    """

    density_per_um2: float
    photons: float = 6000.0
    background_e: float = 20.0
    frames: int = 24
    side_px: int = 192
    moving: bool = True
    depth_um: float = 6.0

    @property
    def exposure_s(self) -> float:
        return EXPOSURE_S if self.moving else INSTANT_S


SPEED = DataSet(0.076, frames=48, side_px=256)  # 50 beads of the axial range a frame

# the sets of the table of results, and their names there
NAMED = {
    "isolated": "isolated",
    "crowded": "crowded, still",
    "sparse": "sparse, diffusing",
    "dense": "dense, diffusing",
    "dim": "dim, diffusing",
}
ACCURACY = {
    "isolated": DataSet(0.0, frames=1200, side_px=256, moving=False, depth_um=1.5),
    "crowded": DataSet(0.25, frames=96, side_px=128, moving=False, depth_um=1.5),
    "sparse": DataSet(0.02, frames=240),
    "dense": DataSet(0.12, frames=72),
    "dim": DataSet(0.06, 1500.0, 40.0, frames=40),
}
DENSITIES = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5)
PHOTONS = (500, 1000, 2000, 5000, 10000, 20000)
# what time may grow with: value, and the movie that has it
GROWTH = {
    "frames": {16: "speed_short", 32: "speed_longer", 48: "speed"},
    "beads per µm²": {0.02: "speed_sparse", 0.076: "speed_short", 0.3: "speed_dense"},
    "rows and columns": {128: "speed_small", 256: "speed_short", 384: "speed_large"},
}


def _series(density_frames, photon_frames) -> dict[str, DataSet]:
    by_density = {f"density_{d:g}": DataSet(d, frames=max(8, int(density_frames / d)), side_px=128) for d in DENSITIES}
    return by_density | {f"photons_{n}": DataSet(0.06, float(n), frames=photon_frames, side_px=128) for n in PHOTONS}


def data_sets(size: str) -> dict[str, DataSet]:
    """All movies by name. `size`: full, or tiny, which has the same movies with few and small frames (numbers then mean nothing)."""
    speed = {
        "speed": SPEED,
        "speed_short": replace(SPEED, frames=16),
        "speed_longer": replace(SPEED, frames=32),
        "speed_sparse": replace(SPEED, frames=16, density_per_um2=0.02),
        "speed_dense": replace(SPEED, frames=16, density_per_um2=0.3),
        "speed_small": replace(SPEED, frames=16, side_px=128),
        "speed_large": replace(SPEED, frames=16, side_px=384),
    }
    everything = ACCURACY | _series(15.0, 240) | speed  # some 1,800 errors for each share within an uncertainty: 1.1 % of chance
    if size == "full":
        return everything
    few = {name: 3 if name == "isolated" else 1 if name.startswith("speed") else 2 for name in everything}
    return {name: replace(one, frames=few[name], side_px=256 if name == "isolated" else 64) for name, one in everything.items()}


def series(kind: str) -> dict[float, str]:
    """Names of the movies of the series over "density" or "photons", by its value."""
    return {value: f"{kind}_{value:g}" for value in (DENSITIES if kind == "density" else PHOTONS)}
