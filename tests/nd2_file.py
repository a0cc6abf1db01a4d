"""A minimal writer of Nikon's ND2, version 3.0: chunks of 4096 bytes and a map of them at the end."""

import struct
import zlib

import numpy as np

MAGIC = 0x0ABECEDA
HEADER = struct.Struct("<IIQ")


def write_nd2(
    path, planes, *, loop="T", interval_s=0.02, step_um=0.1, pixel_um=0.108,
    exposure=None, late_s=0.0, bits=16, compressed=False, planned=None,
):  # fmt: skip
    """Write planes (n, rows, columns) of uint16 as one loop: over time (T), z (Z), or both (TZ: two planes a time).

    `late_s` is added to the frames' times; `exposure`, such as "10 ms", is put among the camera's settings; `planned`: frames that the
    loop was set to, where the recording was stopped earlier.
    """
    n, rows, columns = planes.shape
    planned = planned or n
    loops = {
        "T": [_time_loop(planned, interval_s)],
        "Z": [_z_loop(planned, step_um)],
        "TZ": [_time_loop(planned // 2, interval_s), _z_loop(2, step_um)],
    }[loop]
    attributes = {
        "uiWidth": columns, "uiHeight": rows, "uiWidthBytes": 2 * columns, "uiComp": 1, "uiBpcInMemory": 16,
        "uiBpcSignificant": bits, "uiSequenceCount": n, "eCompression": 0 if compressed else 2, "dCompressionParam": 1.0,
    }  # fmt: skip
    plane = {"uiCompCount": 1, "uiSampleIndex": 0, "sDescription": "Mono", "pFluorescentProbe": {"m_sName": "none"}}
    picture = {
        "bCalibrated": pixel_um is not None, "dCalibration": float(pixel_um or 0),
        "sPicturePlanes": {"uiCount": 1, "sPlaneNew": {"a0": plane}},
    }  # fmt: skip
    times = (np.arange(n) * interval_s + late_s) * 1000
    with open(path, "wb") as file:
        places = {}

        def chunk(name, data):
            places[name] = file.tell(), len(data)
            header = HEADER.pack(MAGIC, 4096 - HEADER.size, len(data))
            file.write((header + name).ljust(4096, b"\0") + data)

        signature = HEADER.pack(MAGIC, 32, 64) + b"ND2 FILE SIGNATURE CHUNK NAME01!" + b"Ver3.0".ljust(64, b"\0")
        file.write(signature.ljust(4096, b"\0"))
        chunk(b"ImageAttributesLV!", lite({"SLxImageAttributes": attributes}))
        chunk(b"ImageMetadataLV!", lite({"SLxExperiment": _nested(loops)}))
        chunk(b"ImageMetadataSeqLV|0!", lite({"SLxPictureMetadata": picture}))
        if exposure:
            chunk(b"ImageTextInfoLV!", lite({"SLxImageTextInfo": {"TextInfoItem_6": f"Camera\r\n  Exposure: {exposure}\r\n"}}))
        chunk(b"CustomData|AcqTimesCache!", times.tobytes())
        for number, (time, plane) in enumerate(zip(times, planes, strict=True)):
            data = zlib.compress(plane.tobytes()) if compressed else plane.tobytes()
            # the time belongs to the data, which so begin 4096 bytes after the chunk
            name = b"ImageDataSeq|%d!" % number
            places[name] = file.tell(), len(data) + 8
            header = HEADER.pack(MAGIC, 4096 - HEADER.size - 8, len(data) + 8)
            file.write((header + name).ljust(4088, b"\0") + struct.pack("<d", time) + data)
        at = file.tell()
        table = b"".join(name + struct.pack("<QQ", *place) for name, place in places.items()) + b"ND2 CHUNK MAP SIGNATURE 0000001!"
        table += struct.pack("<Q", at)
        file.write(HEADER.pack(MAGIC, 32, len(table)) + b"ND2 FILEMAP SIGNATURE NAME 0001!" + table)


def _time_loop(n, interval_s):
    period = {"uiCount": n, "dStart": 0.0, "dPeriod": 1000.0 * interval_s, "dDuration": 1000.0 * interval_s * n}
    return {"eType": 1, "uLoopPars": period}


def _z_loop(n, step_um):
    return {"eType": 4, "uLoopPars": {"uiCount": n, "dZStep": float(step_um), "dZLow": 0.0, "dZHigh": step_um * (n - 1), "iType": 0}}


def _nested(loops):
    first, *inner = loops
    return first | ({"ppNextLevelEx": {"i0000000000": _nested(inner)}} if inner else {})


def lite(values: dict) -> bytes:
    """Values in the binary form of ND2's metadata: type, name, and value; a dict has its number of items and its length."""
    parts = []
    for name, value in values.items():
        title = (name + "\0").encode("utf-16-le")
        if isinstance(value, dict):
            inner = lite(value)
            length = 2 + len(title) + 12 + len(inner)
            parts.append(_head(11, title) + struct.pack("<IQ", len(value), length) + inner + bytes(8 * len(value)))
        elif isinstance(value, bool):
            parts.append(_head(1, title) + struct.pack("<?", value))
        elif isinstance(value, int):
            parts.append(_head(3, title) + struct.pack("<I", value))
        elif isinstance(value, float):
            parts.append(_head(6, title) + struct.pack("<d", value))
        else:
            parts.append(_head(8, title) + (value + "\0").encode("utf-16-le"))
    return b"".join(parts)


def _head(kind: int, title: bytes) -> bytes:
    return struct.pack("<BB", kind, len(title) // 2) + title
