"""How many sites open a masked sum."""


def least_threshold(n_sites: int, consistency: bool) -> int:
    """The fewest shares that may open a sum.

    More than half of ``n_sites``, so that two lists of survivors never both open. With
    ``consistency`` more than two thirds, so that this holds while fewer than a third collude.
    """
    return (2 * n_sites // 3 if consistency else n_sites // 2) + 1


def default_threshold(n_sites: int, min_sites: int, consistency: bool = False) -> int:
    """Shares that open a sum: no fewer than are safe, and no fewer than a sum needs."""
    return max(least_threshold(n_sites, consistency), min_sites)
