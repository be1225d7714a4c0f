"""The table of models; a model enters it from its own file."""

from common.registry import Registry

MODELS: Registry = Registry("model", "common.models")
register_model = MODELS.register
