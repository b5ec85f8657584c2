from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore


@dataclass
class CoresLauncherConf:
    """Settings of ``hydra/launcher=cores``.

    Attributes:
        workers: Maximum number of processes; null for one per core that this process may use. The launcher checks that
            it is an integer.
    """

    _target_: str = "hydra_plugins.cores_launcher.cores_launcher.CoresLauncher"
    workers: Any = None


ConfigStore.instance().store(group="hydra/launcher", name="cores", node=CoresLauncherConf, provider="cores_launcher")
