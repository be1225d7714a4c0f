"""How messages about a site's file are worded: "what happened, with which value: the fix."."""

from collections.abc import Iterable, Sequence


def quoted(names: Sequence[str], at_most: int = 3) -> str:
    """Up to ``at_most`` names in quotes, and an ellipsis if there are more."""
    return ", ".join(repr(name) for name in names[:at_most]) + (
        ", ..." if len(names) > at_most else ""
    )


def what_and_fix(message: str) -> tuple[str, str]:
    """A message in its two parts: every message of ``common.data`` ends with ": FIX."."""
    what, _, fix = message.rpartition(": ")
    return what, fix.removesuffix(".")


def together(messages: Iterable[str]) -> str:
    """Several messages as one: what happened in each, then each different fix once."""
    parts = [what_and_fix(message) for message in messages]
    fixes = dict.fromkeys(fix for _, fix in parts)
    needed = [fix for fix in fixes if not any(fix in other and fix != other for other in fixes)]
    return f"{'; '.join(what for what, _ in parts)}: {'; or '.join(needed)}."
