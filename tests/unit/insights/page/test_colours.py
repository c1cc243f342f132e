"""What is written can be read, and what is drawn told apart: by day, by night, and by the colour-blind."""

import math
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from itertools import combinations
from typing import Final

import pytest

from insights.page.charts import COLOURS

# WCAG 2.2, 1.4.3 and 1.4.11.
TEXT: Final = 4.5
DRAWN: Final = 3.0
# In OKLab, where white and black are 1 apart; 0.02 is about what can just be told apart side by side.
TOLD_APART: Final = 0.1
PAIRS: Final = [
    *((text, page) for text in ("text", "faint", "link") for page in ("page", "surface")),
    ("good", "good-page"),
    ("warn", "warn-page"),
    ("bad", "bad-page"),
    # The errors and the states of figures, and the texts of buttons.
    *((mood, page) for mood in ("bad", "warn") for page in ("page", "surface")),
    ("surface", "link"),
    ("surface", "bad"),
]
# Machado, Oliveira and Fernandes 2009, at full severity, on linear RGB.
EYES: Final = {
    "all": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.01182, 0.04294, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.3039)),
}
Colour = tuple[float, ...]


def tokens() -> dict[str, dict[str, str]]:
    """The colours of each scheme, by name."""
    css = (files("insights.page") / "assets" / "insights.css").read_text()
    light, dark = re.findall(r":root \{(.*?)\}", css, re.DOTALL)[:2]
    return {"light": colours(light), "dark": colours(dark)}


def colours(block: str) -> dict[str, str]:
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))


SCHEMES: Final = tokens()
EACH_SCHEME = pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)


@EACH_SCHEME
@pytest.mark.parametrize(("text", "page"), PAIRS, ids="-on-".join)
def test_text_stands_out(scheme: Mapping[str, str], text: str, page: str):
    assert contrast(scheme[text], scheme[page]) >= TEXT


@EACH_SCHEME
@pytest.mark.parametrize("page", ["page", "surface"])
@pytest.mark.parametrize("name", [*(f"c{n + 1}" for n in range(COLOURS)), "focus", "faint"])
def test_lines_and_borders_stand_out(scheme: Mapping[str, str], name: str, page: str):
    assert contrast(scheme[name], scheme[page]) >= DRAWN


@EACH_SCHEME
@pytest.mark.parametrize("eyes", EYES.values(), ids=EYES)
def test_lines_of_a_chart_are_told_apart(scheme: Mapping[str, str], eyes: Sequence[Colour]):
    seen = [oklab(through(eyes, linear(scheme[f"c{n + 1}"]))) for n in range(COLOURS)]
    assert min(math.dist(one, other) for one, other in combinations(seen, 2)) >= TOLD_APART


def test_both_schemes_have_the_same_colours():
    assert SCHEMES["light"].keys() == SCHEMES["dark"].keys()


def test_black_on_white_has_the_contrast_that_it_has():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear(colour), strict=True))


def linear(colour: str) -> Colour:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    return tuple(part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)


def through(rows: Sequence[Colour], colour: Colour) -> Colour:
    mixed = (sum(weight * part for weight, part in zip(row, colour, strict=True)) for row in rows)
    return tuple(min(1.0, max(0.0, part)) for part in mixed)


def oklab(colour: Colour) -> Colour:
    """Ottosson 2020."""
    cones = (
        (0.4122214708, 0.5363325363, 0.0514459929),
        (0.2119034982, 0.6806995451, 0.1073969566),
        (0.0883024619, 0.2817188376, 0.6299787005),
    )
    axes = (
        (0.2104542553, 0.793617785, -0.0040720468),
        (1.9779984951, -2.428592205, 0.4505937099),
        (0.0259040371, 0.7827717662, -0.808675766),
    )
    roots = [math.cbrt(sum(w * part for w, part in zip(row, colour, strict=True))) for row in cones]
    return tuple(sum(w * root for w, root in zip(row, roots, strict=True)) for row in axes)
