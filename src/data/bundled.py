"""The small data sets that come with scikit-learn."""

from sklearn import datasets

from src.data.dataframe import make_frame
from src.data.tabular import Table
from src.utils.validation import check, choice

NAMES = ("breast_cancer", "digits", "iris", "wine")


class Bundled(Table):
    """One of scikit-learn's own data sets; nothing is downloaded.

    Args:
        classes: Number of classes C, which has to be that of the data.
        name: ``breast_cancer``, ``digits``, ``iris`` or ``wine``.

    Raises:
        SettingsError: If there is no such data set, or the number of classes is another one.
    """

    def __init__(self, classes: int, *, name: str) -> None:
        check(choice("name", name, NAMES))
        table = getattr(datasets, f"load_{name}")(as_frame=True).frame
        super().__init__(make_frame(table, "target", "error"), classes)
