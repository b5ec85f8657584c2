"""The packages of a wheel: those of the clone, and ``conf`` as ``src.conf``, where an installed program finds it."""

from setuptools import find_namespace_packages, setup

setup(
    packages=[
        *find_namespace_packages(include=["src*", "scripts*", "hydra_plugins*"]),
        *(f"src.{name}" for name in find_namespace_packages(include=["conf*"])),
    ],
    package_dir={"src.conf": "conf"},
)
