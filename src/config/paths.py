"""The directory of the project's configuration files."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
CONFIG_DIR = next(path for path in (_PACKAGE / "conf", _PACKAGE.parent / "conf") if path.is_dir())  # wheel, clone
