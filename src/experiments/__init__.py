"""Studies, conditions and runs: what is trained, what is finished, and the Python API.

``run`` trains a condition, ``load_run`` rebuilds a finished run, ``load_study`` reads a study as a table::

    from src.experiments import load_run, load_study, run
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from src.experiments.api import run
    from src.experiments.loading import Run, load_run, load_study

__all__ = ["Run", "load_run", "load_study", "run"]


def __getattr__(name: str) -> Any:
    """Import what is asked for: torch takes seconds to import, and the naming of conditions does not need it."""
    if name == "run":
        from src.experiments import api

        return api.run
    if name in __all__:
        from src.experiments import loading

        return getattr(loading, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
