"""The coordinator: its Flower ServerApp, its workflows, its run folder."""
