"""Colours that stay apart for colour-blind readers, on white and on a dark page.

References
----------
Okabe, Ito 2008, "Color universal design": its colours without yellow and black;
a brown, a violet and a grey are added.
"""

import colorsys
from collections.abc import Sequence

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c7a3d", "#7b4ab5")
OTHERS = "#8e939c"
# From unsure to sure: two hues, not light and dark, of which one would vanish on either page.
STEPS = ("#d55e00", "#e69f00", "#a39b78", "#56b4e9", "#0072b2")


def colours(names: Sequence[str]) -> dict[str, str]:
    """A colour for each name; from the ninth on darker and lighter ones, then again the first."""
    shades = (0.0, -0.14, 0.16)
    return {
        name: _shade(COLOURS[i % len(COLOURS)], shades[i // len(COLOURS) % len(shades)])
        for i, name in enumerate(names)
    }


def _shade(colour: str, by: float) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    hue, lightness, saturation = colorsys.rgb_to_hls(red, green, blue)
    lighter = min(max(lightness + by, 0.2), 0.82)
    shaded = colorsys.hls_to_rgb(hue, lighter, saturation)
    return "#" + "".join(f"{round(255 * part):02x}" for part in shaded)
