"""MkDocs hooks: the pages and tables that are generated from the code and its configuration.

MkDocs calls the functions named ``on_...``; ``.mkdocs.yml`` names this file.
"""

import importlib
import inspect
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

import griffe
import latex2mathml.converter
import yaml
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from src.config.schema import Config, SeedsConfig, TrainerConfig

ROOT = Path(__file__).parents[1]
GROUPS = (
    *("data", "loss", "model", "optimizer", "scheduler", "trainer", "callbacks", "logger", "profiler", "export"),
    *("paths", "debug", "experiment", "hydra/launcher"),
)
PLUGINS = {
    "hydra/launcher=cores": ("hydra_plugins.cores_launcher.config", "CoresLauncherConf"),
    "hydra/sweeper=stack": ("hydra_plugins.stack_sweeper.config", "StackSweeperConf"),
    "hydra/sweeper=tune": ("hydra_plugins.tune_sweeper.config", "TuneSweeperConf"),
}
SETTINGS_MARKER = "<!-- settings -->"  # of configuration.md; replaced by the tables


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the fence ``math`` and the API pages to the configuration."""
    fence = {"name": "math", "class": "math", "format": mathml}
    config.mdx_configs.setdefault("pymdownx.superfences", {})["custom_fences"] = [fence]
    reference = next(entry["Reference"] for entry in config.nav or [] if "Reference" in entry)
    api = next(index for index, entry in enumerate(reference) if "API" in entry)
    reference[api] = {"API": ["api.md", *({name: f"api/{name}.md"} for name in packages())]}
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add one API page per package."""
    for name in packages():
        page = f"# `{name}`\n\n::: {name}\n    options: {{show_root_heading: false}}\n"
        files.append(File.generated(config, f"api/{name}.md", content=page))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Insert the generated tables, and turn links to files outside of ``docs/`` into plain text."""
    markdown = markdown.replace(SETTINGS_MARKER, settings_tables())
    return re.sub(r"\[([^\]]*)\]\(\.\./[^)]*\)", r"\1", markdown)


def packages() -> list[str]:
    """Return the packages of ``src`` that have an API page, by their import names."""
    return sorted(f"src.{path.parent.name}" for path in ROOT.glob("src/*/__init__.py"))


def settings_tables() -> str:
    """Return Markdown tables of all settings: the top level, then every group with its choices."""
    parts = [
        "## Top level\n",
        *_table(settings(ROOT / "conf" / "train.yaml"), {**rules(Config), **rules(SeedsConfig, "seeds.")}),
    ]
    for group in GROUPS:
        parts.append(f"\n## `{group}=`\n")
        for path in sorted(ROOT.joinpath("conf", group).glob("*.yaml")):
            parts += [f"\n### `{group}={path.stem}`\n", *_choice(path)]
    for choice, (module, name) in PLUGINS.items():
        prefix = f"hydra.{choice.partition('=')[0].removeprefix('hydra/')}."
        rows = [(f"{prefix}{key}", default, meaning) for key, default, meaning in plugin_settings(module, name)]
        parts += [f"\n### `{choice}`\n", *_table(rows)]
    return "\n".join(parts)


def rules(schema: type[Any], prefix: str = "") -> dict[str, str]:
    """Return the allowed values of the settings of a structured config, as its messages describe them."""
    found = {item.name: item.metadata.get("rule") for item in fields(schema)}
    return {f"{prefix}{name}": rule(name, object()).rule for name, rule in found.items() if rule}


def plugin_settings(module: str, name: str) -> list[tuple[str, str, str]]:
    """Return name, default and description of every setting of a structured config of ``hydra_plugins/``.

    Args:
        module: The module that defines it.
        name: The name of the dataclass.
    """
    config = getattr(importlib.import_module(module), name)
    sections = griffe.Docstring(inspect.getdoc(config) or "").parse("google", warnings=False)
    meanings = {
        item.name: item.description for section in sections if section.kind == "attributes" for item in section.value
    }
    defaults = asdict(config())
    own = [field.name for field in fields(config) if field.name in meanings]
    return [(key, json.dumps(defaults[key]), " ".join(meanings[key].split())) for key in own]


def _choice(path: Path) -> Iterator[str]:
    """Yield the description of one choice of a group."""
    lines = path.read_text(encoding="utf-8").splitlines()
    heading = [line.removeprefix("# ") for line in lines if line.startswith("# ") and "@package" not in line]
    if heading:
        yield " ".join(heading) + "\n"
    target = re.search(r"^ *_target_: ([\w.]+)", "\n".join(lines), flags=re.MULTILINE)
    if target and target[1] != "null":
        yield f"Builds `{target[1]}`.\n"
    if path.parent.name in ("debug", "experiment"):
        yield "\n".join(["```yaml", *(line for line in lines if not line.startswith("#")), "```"])
    else:
        yield from _table(settings(path), rules(TrainerConfig) if path.parent.name == "trainer" else {})


def _table(rows: list[tuple[str, str, str]], allowed: Mapping[str, str] = MappingProxyType({})) -> Iterator[str]:
    if rows:
        yield "| setting | default | meaning |" + " allowed |" * bool(allowed)
        yield "|---|---|---|" + "---|" * bool(allowed)
        for name, default, meaning in rows:
            rule = f" {allowed.get(name, '')} |" if allowed else ""
            yield f"| `{name}` | `{default}` | {meaning.replace('|', 'or')} |{rule}"


def settings(path: Path) -> list[tuple[str, str, str]]:
    """Return name, default and comment of every setting of a file of ``conf/``.

    Args:
        path: The YAML file. Its settings are scalars and lists; a mapping contributes the settings below it.
    """
    content = yaml.compose(path.read_text(encoding="utf-8"))
    lines = path.read_text(encoding="utf-8").splitlines()
    return list(_settings(content, "", lines))


def _settings(node: Any, prefix: str, lines: list[str]) -> Iterator[tuple[str, str, str]]:
    for key, value in node.value:
        name = f"{prefix}{key.value}"
        if key.value in ("defaults", "_target_", "_convert_", "_partial_"):
            continue
        if isinstance(value, yaml.MappingNode) and value.value and not value.flow_style:
            yield from _settings(value, f"{name}.", lines)
            continue
        line = lines[value.start_mark.line]
        default = line[value.start_mark.column :].partition("  #")[0].strip()
        yield name, default, line.partition("  # ")[2]


def mathml(source: str, *_: Any, **__: Any) -> str:
    """Return a displayed formula as MathML, which browsers show without a script."""
    return latex2mathml.converter.convert(source.strip(), display="block")


class Docstrings(griffe.Extension):
    """Prepares docstrings for MkDocs: ``.. math::`` becomes the fence ``math``, ``Example:`` a section of code."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Rewrite the docstring of one object."""
        if obj.docstring is not None:
            obj.docstring.value = rewrite(obj.docstring.value)


def rewrite(docstring: str) -> str:
    """Return a docstring with formulas and examples as MkDocs shows them."""
    docstring = re.sub(r"^Example:$", "Examples:", docstring, flags=re.MULTILINE)
    return re.sub(
        r"^\.\. math:: *((?:.+\n?)+)",
        lambda found: f"```math\n{' '.join(found[1].split())}\n```\n",
        docstring,
        flags=re.MULTILINE,
    )
