"""A table from a CSV or Parquet file."""

from src.data.dataframe import digest, read_frame
from src.data.tabular import Table
from src.utils.validation import Problem, check


class CsvTable(Table):
    """The points of a CSV or Parquet file.

    Args:
        classes: Number of classes C, which has to be that of the file.
        path: The file.
        target: Its column of classes; all others are features.
        missing: What to do with missing values: ``error``, ``drop`` their rows, or fill in the ``mean`` of the training
            points.
        sha256: Hash of the file, which has to be the file's own.

    Raises:
        SettingsError: If the file or an argument is wrong, or the file is not the one that was hashed.
    """

    def __init__(self, classes: int, *, path: str, target: str, missing: str, sha256: str | None) -> None:
        frame = read_frame(path, target, missing)
        check(None if digest(path) == sha256 else Problem("sha256", f"that of {path}, which has changed", sha256))
        super().__init__(frame, classes)
