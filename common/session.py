"""Names of sessions: stretches of a run over one set of keys.

A run has one session. It begins another when a site that was lost comes back, whose keys were lost
with it: all sites agree on keys anew, and to them it is as another run.
"""

from common.errors import SecureSumError


def session_name(run: str, number: str) -> str:
    """The name that a session's sums go by.

    Parameters
    ----------
    run
        Flower's id of the run.
    number
        "" or "0" for the first session, "1" for the one after it.

    Raises
    ------
    SecureSumError
        ``number`` is none.
    """
    if number in ("", "0"):
        return run
    if not (number.isascii() and number.isdigit() and len(number) < 10):
        raise SecureSumError(f"a session of run {run} is called {number[:20]!r}; it is a number")
    return f"{run}.{int(number)}"
