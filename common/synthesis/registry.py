"""The table of generators; a generator enters it from its own file."""

from common.registry import Registry

GENERATORS: Registry = Registry("generator", "common.synthesis.generators")
register_generator = GENERATORS.register
