"""losslab: how much do the loss and the decision rule matter for a classifier?

Axes are named once, here, and shown as trailing comments wherever a shape moves:

==== =======================================================
S    seeds: independent replicates trained together as one batched model
N    samples of a data set or of a split
B    samples of one mini-batch
D    input features
O    network outputs (chosen by the objective)
C    classes
==== =======================================================
"""
