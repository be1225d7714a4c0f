"""A site's node: Flower's SuperNode without its waits."""
