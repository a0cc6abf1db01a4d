"""OME-XML, the metadata of OME-TIFF (OME model 2016-06)."""

from xml.etree import ElementTree

from defocus3d.formats import units


def is_safe(text: str) -> bool:
    """Whether XML has no document type, and so no entities that could grow without bounds or name other files."""
    return "<!DOCTYPE" not in text and "<!ENTITY" not in text


def metadata(text: str) -> dict[str, float]:
    """What OME-XML says of pixel size, z step, frame interval and exposure; nothing where it cannot be read or has several images."""
    if not is_safe(text):
        return {}
    try:
        pixels = ElementTree.fromstring(text).findall("{*}Image/{*}Pixels")
    except ElementTree.ParseError:
        return {}
    if len(pixels) != 1:
        return {}
    given, planes = pixels[0].attrib, pixels[0].findall("{*}Plane")
    x, y, z = (units.length_um(given.get(f"PhysicalSize{axis}"), given.get(f"PhysicalSize{axis}Unit", "µm")) for axis in "XYZ")
    interval = units.time_s(given.get("TimeIncrement"), given.get("TimeIncrementUnit", "s"))
    return units.stated(
        pixel_size_um=units.square(x, y),
        z_step_um=z,
        frame_interval_s=_interval(planes) if interval is None else interval,
        exposure_s=_exposure(planes),
    )


def _interval(planes) -> float | None:
    """From the planes' times, where they are those of a movie: one plane for each T."""
    frames = {plane.get("TheT"): plane for plane in planes}
    if len(frames) != len(planes):
        return None
    times = [_seconds(frames[t], "DeltaT") for t in sorted(frames, key=lambda t: int(t or 0))]
    return None if None in times else units.regular(times)


def _exposure(planes) -> float | None:
    times = {_seconds(plane, "ExposureTime") for plane in planes}
    return None if None in times or not times or max(times) > min(times) * (1 + units.REGULAR) else min(times)


def _seconds(plane, name: str) -> float | None:
    try:
        return float(plane.get(name)) * units.TIMES_S[plane.get(f"{name}Unit", "s")]
    except (TypeError, ValueError, KeyError):
        return None
