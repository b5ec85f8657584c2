from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, RunMode, TaskFunction
from omegaconf import DictConfig, open_dict

GROUP = "experiment"  # the config group whose choices bring a sweep of their own


def split_presets(parser: OverridesParser, arguments: Sequence[str]) -> list[list[str]]:
    """Return the overrides of a sweep for each preset that they sweep over, or as they are where they sweep over none.

    Hydra composes a sweep without what is swept over, so that the presets' own sweeps would be lost.

    Args:
        parser: Hydra's parser, which knows the choices of ``experiment=glob(*)``.
        arguments: Overrides of the application, as typed.
    """
    swept = [
        override
        for override in parser.parse_overrides(list(arguments))
        if override.key_or_group == GROUP and override.is_sweep_override() and not override.is_delete()
    ]
    if not swept:
        return [list(arguments)]
    words = [word for word in arguments if word != swept[-1].input_line]
    return [[*words, f"{GROUP}={preset}"] for preset in swept[-1].sweep_string_iterator()]


def preset_sweeper(
    context: HydraContext, task_function: TaskFunction, config: DictConfig, arguments: Sequence[str]
) -> Sweeper:
    """Return the sweeper, with its launcher, that these overrides choose.

    Args:
        context: Hydra's context.
        task_function: The application.
        config: Configuration of the sweep over presets.
        arguments: Overrides of one preset.
    """
    hydra = config.hydra
    composed = context.config_loader.load_configuration(
        config_name=hydra.job.config_name, overrides=[*hydra.overrides.hydra, *arguments], run_mode=RunMode.MULTIRUN
    )
    with open_dict(composed):
        composed.hydra.mode = RunMode.MULTIRUN
    return Plugins.instance().instantiate_sweeper(hydra_context=context, task_function=task_function, config=composed)
