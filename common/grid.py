"""How much CO2e a kWh of a country's grid emits: codecarbon's yearly means, read offline."""

import difflib
import importlib.util
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

WORLD = "world_average"


@lru_cache(maxsize=2)
def _table(name: str) -> dict[str, Any]:
    # Found without importing it, which brings pandas.
    (root,) = importlib.util.find_spec("codecarbon").submodule_search_locations
    return json.loads((Path(root) / "data" / "private_infra" / name).read_text())


def country_factor(country: str) -> float:
    """Kilograms of CO2e per kWh of a country by its ISO code of three letters; '' = the world's.

    Raises
    ------
    ValueError
        No such country is known; it names the nearest codes.
    """
    if not country:
        return _table("carbon_intensity_per_source.json")[WORLD] / 1000
    countries = {k: v for k, v in _table("global_energy_mix.json").items() if _intensity(v)}
    if country not in countries:
        names = {entry["country_name"].upper(): code for code, entry in countries.items()}
        near = [names[country.upper()]] if country.upper() in names else []
        near = near or difflib.get_close_matches(country.upper(), countries, n=3, cutoff=0.5)
        hint = " or ".join(f"{code} ({countries[code]['country_name']})" for code in near)
        raise ValueError(
            f"country = {country!r} is no ISO code of three letters with known emissions: "
            f"{f'did you mean {hint}? Or ' if hint else ''}set grid-factor and leave country out"
        )
    return _intensity(countries[country]) / 1000


def _intensity(entry: dict[str, Any]) -> float:
    return entry.get("carbon_intensity") or 0.0
