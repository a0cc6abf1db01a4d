"""What a network was trained for: told in its file, and compared with what it is given."""

import json
from dataclasses import replace

import pytest

from defocus3d.camera import Camera
from defocus3d.card import Card, CardError

CARD = Card(0.1, (-1.5, 1.5), Camera(read_noise_e=1.6), (1000.0, 20000.0), (5.0, 80.0), (0.005, 0.3), 0.06)


def test_a_card_comes_back_from_its_text():
    assert Card.from_text(CARD.to_text()) == CARD


def changed(**values):
    return json.dumps({**json.loads(CARD.to_text()), **values})


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "JSON"),
        ("[]", "pixel_size_um"),
        (changed(pixel_size_um="0.1"), "pixel_size_um"),
        (changed(pixel_size_um=float("nan")), "pixel_size_um"),
        (changed(axial_range_um=[1.5, -1.5]), "axial_range_um"),
        (changed(photons=[1, 2, 3]), "photons"),
        (changed(camera={"read_noise_e": 1.6}), "camera"),
        (changed(blur_um=None), "blur_um"),
    ],
)
def test_what_is_no_card_is_refused_with_what_is_wrong(text, word):
    with pytest.raises(CardError, match=word):
        Card.from_text(text)


def test_pixel_size_range_and_multiplication_are_compared():
    assert CARD.has_pixels_of(0.1 * (1 + 1e-9)) and not CARD.has_pixels_of(0.101)
    assert CARD.has_range([-1.5, 1.5]) and not CARD.has_range((-1.5, 1.4))
    assert CARD.multiplies_as(Camera(em_gain=1)) and not CARD.multiplies_as(Camera(em_gain=300))
    assert replace(CARD, camera=Camera(em_gain=100)).multiplies_as(Camera(em_gain=300))


@pytest.mark.parametrize(
    ("camera", "blur_um", "words"),
    [
        (Camera(), 0.0, []),
        (Camera(offset_adu=0, gain_e_per_adu=2.0), 0.06, []),  # networks see photoelectrons
        (Camera(read_noise_e=1.3), 0.06, []),
        (Camera(read_noise_e=1.0), 0.06, ["read noise of 1 "]),
        (Camera(read_noise_e=2.5), 0.06, ["read noise of 2.5 "]),
        (Camera(em_gain=300), 0.06, ["em_gain of 300 "]),
        (Camera(read_noise_e=0.0), 0.2, ["read noise of 0 ", "motion blur of 0.2 "]),
    ],
)
def test_what_a_movie_differs_in_is_told(camera, blur_um, words):
    warnings = CARD.warnings(camera, blur_um)
    assert len(warnings) == len(words)
    assert all(warning.startswith(word) for warning, word in zip(warnings, words))
