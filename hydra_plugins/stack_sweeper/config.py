from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore


@dataclass
class StackSweeperConf:
    """Settings of ``hydra/sweeper=stack``.

    Attributes:
        max_batch_size: Maximum number of jobs that are given to the launcher at once; null for all of them.
        params: Overrides to sweep over, as on the command line, which has precedence.
        stack_size: Maximum number of seeds in one job; null for no limit, with which Hydra takes minutes to read lists
            of tens of thousands. The sweeper checks that it is an integer.
        grids: Further overrides, each a line such as ``model=a,b loss=c``; the sweep is the union over them.
        part: Set by the sweeper in jobs that train parts of the same condition: the number of the part.
    """

    _target_: str = "hydra_plugins.stack_sweeper.stack_sweeper.StackSweeper"
    max_batch_size: int | None = None
    params: dict[str, str] = field(default_factory=dict)
    stack_size: Any = 1000
    grids: list[str] | None = None
    part: int | None = None


ConfigStore.instance().store(group="hydra/sweeper", name="stack", node=StackSweeperConf, provider="stack_sweeper")
