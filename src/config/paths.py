"""The directory of the project's configuration files, which lies beside ``src`` in a clone and in a wheel."""

from pathlib import Path

CONFIG_DIR = Path(__file__).resolve().parents[2] / "conf"
