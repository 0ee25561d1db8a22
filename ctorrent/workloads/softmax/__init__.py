"""A multinomial logistic regression, trained by the swarm on a CSV whose last column is the label.

    from ctorrent.workloads import softmax

    with ctorrent.connect() as net:
        model = softmax.train(net, "iris.csv", epochs=10)
        print(model.accuracy, model.hash)

An epoch is a job: each block passes once over its shard of the rows, from the weights of the epoch before; their average,
weighted by rows, begins the next. Two owners run every block, and must return the same bits.

    table.py    the file            plan.py     who learns from which rows, pure
    block.py    what a block does   model.py    the result and its hash
"""

from ctorrent.workloads.softmax.model import Model
from ctorrent.workloads.softmax.training import EPOCHS_MAX, train

__all__ = ["EPOCHS_MAX", "Model", "train"]
