"""The columns of a table as training would take them: roles, values, missing values and classes. Trains nothing.

python -m scripts.inspect data.path=table.csv data.target=grade
"""

import sys
from collections.abc import Sequence

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from scripts.cli import Parser
from src.config.allowlist import check_composition
from src.config.cli import explain, override_problem, readable
from src.config.paths import CONFIG_DIR
from src.config.resolvers import resolve
from src.data.column_table import show_table
from src.data.dataframe import TableSettings
from src.utils.console import command_name, console_output, stdout
from src.utils.validation import SettingsError, check


@console_output()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, 1 where the table cannot be used, 2 for invalid settings."""
    parser = Parser(
        prog=command_name("scripts.inspect"),
        description="Show the columns of a table as training would take them. The settings are those of data=csv.",
        epilog="Example: python -m scripts.inspect data.path=table.csv data.target=grade",
    )
    parser.add_argument("settings", nargs="+", metavar="data.NAME=VALUE", help="settings of the table")
    words = ["data=csv", *(readable(word, sweeps=False) for word in parser.parse_args(arguments).settings)]
    try:
        check(override_problem(words))
        with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
            composed = compose("train", overrides=words)
        check_composition(composed, words)
        data = resolve(composed)["data"]
    except (HydraException, OmegaConfBaseException) as error:
        print(explain(error, words), file=sys.stderr)
        return 2
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        show_table(stdout(), data["path"], TableSettings.of(data))
    except SettingsError as error:
        print(error.within("data", data), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
