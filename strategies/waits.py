"""How long Flower waits for the rest of a message of which it has the first part."""

FIRST_SECONDS, LONGEST_SECONDS = 0.02, 0.25


def ask_again_soon() -> None:
    """Ask for parts that are on their way at once; Flower's own waits are 1, 2, 4, ... s."""
    from flwr.supercore.inflatable import inflatable_utils

    waits = {"initial_backoff": FIRST_SECONDS, "backoff_cap": LONGEST_SECONDS}
    # Tries end after so many; the time allowed for them stays what it was.
    waits["max_tries_per_object"] = round(inflatable_utils.PULL_MAX_TIME / LONGEST_SECONDS)
    for name in ("pull_objects", "pull_and_inflate_object_from_tree"):
        defaults = getattr(inflatable_utils, name).__kwdefaults__
        defaults.update({key: value for key, value in waits.items() if key in defaults})
