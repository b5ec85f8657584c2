"""The Hydra callback that validates a job before Hydra writes anything for it."""

import sys
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from src.config.cli import explain
from src.config.resolvers import resolve
from src.config.validation import validate_job
from src.utils.console import stdout
from src.utils.validation import SettingsError


class ValidateSettings(Callback):
    """Validates the settings of a single run; the sweeper calls ``validate`` for each job of a sweep."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Validate a single run, before Hydra creates its directory.

        Raises:
            SystemExit: If a setting is wrong, with a line for each; Hydra turns any ``Exception`` into a warning.
        """
        try:
            self.validate(config)
        except SettingsError as error:
            raise SystemExit(str(error)) from None
        except OmegaConfBaseException as error:
            raise SystemExit(explain(error, sys.argv[1:])) from None

    def validate(self, config: DictConfig) -> None:
        """Validate a composed job, and show the columns of its table if it has one.

        Raises:
            SettingsError: If a setting is wrong.
        """
        validate_job(config)
        from src.data.column_table import show_table_once  # pandas takes half a second to import

        show_table_once(stdout(), resolve(config)["data"])
