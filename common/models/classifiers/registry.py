"""The table of classifiers; a classifier enters it from its own file.

It is apart from the table of VAEs: a classifier is built over classes as well as genes.
"""

from common.registry import Registry

CLASSIFIERS: Registry = Registry("classifier", "common.models.classifiers")
register_classifier = CLASSIFIERS.register
