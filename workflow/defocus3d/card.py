"""What a network is for: the conditions that it was trained under, told within its file."""

import json
import math
from dataclasses import asdict, dataclass, fields
from numbers import Real

from defocus3d.camera import Camera

KEY = "defocus3d"  # of the card among the properties of a network file
SAME = 1e-6  # relative difference of two numbers that are the same
READ_NOISE = 0.3  # relative difference in read noise that is worth a warning: the noise of dim pixels is another then
BLUR_UM = 0.02  # motion blur beyond the trained one that shows: well below the width of any PSF


class CardError(ValueError):
    """A text that is no card; the message says what is wrong with it."""


@dataclass(frozen=True)
class Card:
    """Pixel size, axial range, camera, and ranges of what the training scenes showed.

    Attributes
    ----------
    pixel_size_um : float
    axial_range_um : (float, float)
    camera : Camera
        Its read noise and electron multiplication were learned; offset and gain were not, since networks see photoelectrons.
    photons, background_e, density_per_um2 : (float, float)
        Photoelectrons of a bead and of the background in a pixel, beads in the axial range per area.
    blur_um : float
        Largest motion blur of the movies that they were trained for, rms.
    """

    pixel_size_um: float
    axial_range_um: tuple[float, float]
    camera: Camera
    photons: tuple[float, float]
    background_e: tuple[float, float]
    density_per_um2: tuple[float, float]
    blur_um: float

    @classmethod
    def of(cls, scenes, camera: Camera, training: dict, blur_um: float) -> "Card":
        """The card of networks that learn from `scenes`, which were drawn by the settings `training`."""
        ranges = (tuple(training[key]) for key in ("photons", "background_e", "density_per_um2"))
        return cls(scenes.pixel_size_um, tuple(scenes.axial_range_um), camera, *ranges, blur_um)

    def to_text(self) -> str:
        """JSON, which `from_text` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> "Card":
        """The card that `to_text` wrote. Raises CardError where the text is no such thing."""
        try:
            told = json.loads(text)
        except ValueError as error:
            raise CardError(f"its card is no JSON ({error})") from None
        told = told if isinstance(told, dict) else {}
        values = {field.name: told.get(field.name) for field in fields(cls)}
        values["camera"] = _camera(values["camera"])
        for name, value in values.items():
            if name in ("pixel_size_um", "blur_um"):
                good = _is_number(value)
            elif name == "camera":
                good = value is not None
            else:
                good = isinstance(value, list) and len(value) == 2 and all(map(_is_number, value)) and value[0] < value[1]
            if not good:
                raise CardError(f"its card has no proper {name}")
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})

    def has_pixels_of(self, pixel_size_um: float) -> bool:
        """Whether that is the pixel size which was trained for: at another one, beads are larger or smaller for the networks."""
        return math.isclose(pixel_size_um, self.pixel_size_um, rel_tol=SAME)

    def has_range(self, axial_range_um) -> bool:
        """Whether that is the axial range which was trained for."""
        return all(math.isclose(a, b, rel_tol=SAME, abs_tol=SAME) for a, b in zip(axial_range_um, self.axial_range_um, strict=True))

    def multiplies_as(self, camera: Camera) -> bool:
        """Whether both cameras multiply electrons, or neither: that doubles the variance, by nearly the same factor at any gain."""
        return (camera.em_gain > 1) == (self.camera.em_gain > 1)

    def warnings(self, camera: Camera, blur_um: float) -> list[str]:
        """In what a movie of `camera` with motion blur `blur_um` differs from what was trained for; one sentence each."""
        out = []
        if not self.multiplies_as(camera):
            out.append(f"em_gain of {camera.em_gain:g} differs from {self.camera.em_gain:g}, which the networks were trained for: "
                       "give movies of this camera an optics of their own")  # fmt: skip
        here, trained = camera.read_noise_e, self.camera.read_noise_e
        if abs(here - trained) > READ_NOISE * max(here, trained):
            out.append(f"read noise of {here:g} photoelectrons differs from {trained:g}, which the networks were trained for: "
                       "trust the uncertainties of dim beads less, or train for this camera")  # fmt: skip
        if blur_um > self.blur_um + BLUR_UM:
            out.append(f"motion blur of {blur_um:g} µm exceeds {self.blur_um:g} µm, which the networks were trained for: "
                       "expose for a shorter time, or train for this movie")  # fmt: skip
        return out


def _camera(told) -> Camera | None:
    """The camera, or None where `told` is none."""
    names = [field.name for field in fields(Camera)]
    if not isinstance(told, dict) or not all(_is_number(told.get(name)) for name in names):
        return None
    return Camera.of(told)


def _is_number(value) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
