"""A site: its Flower ClientApp, its data, what it sends."""
