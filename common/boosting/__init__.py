"""Gradient-boosted trees grown from sums over sites of gradient histograms over public bins.

Agreed first: ``bins`` (from nothing, or from one sum of counts) and the number of cells of each
class. Then, level by level, ``grower`` at the coordinator makes a ``request``, every ``site``
answers with whole numbers, and their sum is the grower's next step. The ``forest`` is the one that
the pooled cells give, tree for tree, and is saved as ``xgboost_json``. ``bagging`` is the fast
alternative, which is not the pooled training.

What the sums show the coordinator: of the first round, how many cells of each class, over all
sites, are in each bin of each gene; of later nodes, the same of fewer cells, weighted by how wrong
the forest is about them. Sums of one round over two sets of sites show the difference: a site that
is lost is waited for, not left out.
"""
