"""The base class of callbacks that act on each seed."""

import lightning as L


class SeedCallback(L.Callback):
    """A callback that reads the values of each seed from the module, and none of the means that the module logs.

    Where all callbacks are of this kind and there is no logger, the module logs after the last epoch only: logging
    takes as long as the steps of an epoch of a small network.
    """
