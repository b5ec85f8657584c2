"""Which seeds of a condition are finished."""

import logging
from collections.abc import Iterable
from pathlib import Path

from src.storage.schema import COMPLETED, RESULTS, ArtifactError, NewerSchemaError, Results, exists, read_results

log = logging.getLogger(__name__)


def completed(folders: Iterable[Path], fingerprint: str) -> dict[Path, Results]:
    """Return the results by directory of the seeds that a condition has finished.

    Args:
        folders: The directories of seeds, which may not exist.
        fingerprint: Fingerprint of the condition; results with another one do not count.

    Raises:
        NewerSchemaError: If a newer losslab wrote one of them, which must not be replaced unasked.
    """
    done = {}
    for folder in folders:
        if not exists(folder / RESULTS):
            continue
        try:
            results = read_results(folder)
        except NewerSchemaError:
            raise
        except ArtifactError as error:
            log.warning("%s; this seed is trained again", error)
            continue
        if results.status == COMPLETED and results.fingerprint == fingerprint and results.name == folder.name:
            done[folder] = results
    return done
