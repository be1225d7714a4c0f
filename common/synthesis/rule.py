"""The one rule that picks a generator and its settings from public numbers alone."""
