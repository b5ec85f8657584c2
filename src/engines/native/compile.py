"""Compilation of the native kernel, and its cache.

The cache is the directory ``losslab`` in the user's cache directory. Its files are named by a hash of their content,
and none is loaded that another user could have written or whose content has another hash. Without such a directory,
each process compiles the kernel for itself.

``LOSSLAB_KERNEL_FLAGS`` replaces ``-march=native``: empty, the kernel runs on any processor of the architecture.
"""

import ctypes
import hashlib
import logging
import os
import platform
import shlex
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

from src.storage.atomic import replacing_file
from src.utils.errors import first_line

log = logging.getLogger(__name__)

SOURCE = Path(__file__).with_name("kernel.c")
FLAGS = ("-O3", "-fno-math-errno", "-shared", "-fPIC")
TUNING = "LOSSLAB_KERNEL_FLAGS"  # environment variable whose flags replace -march=native
CPUINFO = Path("/proc/cpuinfo")
FUNCTIONS = ("forward", "backward", "train")
NO_COMPILER = "needs a C compiler, cc"


class KernelFailure(str):
    """A reason why there is no kernel that its user should know of: there is a compiler, but it or its result fails."""


def load_kernel() -> tuple[ctypes.CDLL | None, str | None]:
    """Return the compiled kernel, or None and the reason why there is none, which follows "the native kernel"."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None, NO_COMPILER
    command = [compiler, *FLAGS, *tuning()]
    try:
        return _load_cached(command) or _load_private(command), None
    except subprocess.CalledProcessError as error:
        return None, KernelFailure(f"cannot be compiled ({(error.stderr.strip().splitlines() or [str(error)])[0]})")
    except (OSError, AttributeError) as error:
        return None, KernelFailure(f"cannot be loaded ({first_line(error)})")


def tuning() -> list[str]:
    """Return the flags that choose the instruction sets: those of this processor unless the user replaced them."""
    own = "-mcpu=native" if platform.machine() in ("arm64", "aarch64") else "-march=native"
    return shlex.split(os.environ.get(TUNING, own))


def _load_cached(command: list[str]) -> ctypes.CDLL | None:
    """Return the kernel from the cache, where it is added if need be, or None where there is no cache to be trusted."""
    directory = cache_directory()
    if directory is None:
        return None
    name = f"kernel-{_key(command)}"
    for path in sorted(directory.glob(f"{name}-*.so")):
        try:
            if path.name == f"{name}-{_digest(path)}.so" and is_private(path):
                return _load(path)
            log.debug("%s is not what its name says, or not this user's", path)
        except (OSError, AttributeError) as error:
            log.debug("%s cannot be loaded: %s", path, error)
    try:
        with tempfile.TemporaryDirectory(prefix="losslab-") as scratch:
            compiled = _compile(command, Path(scratch))
            path = directory / f"{name}-{_digest(compiled)}.so"
            with replacing_file(path) as new:
                shutil.copyfile(compiled, new)
                new.chmod(0o700)
        return _load(path)
    except (OSError, AttributeError) as error:  # such as a file system that is full or runs no programs
        log.debug("the kernel cannot be cached in %s: %s", directory, error)
        return None


def _load_private(command: list[str]) -> ctypes.CDLL:
    """Return a kernel compiled for this process alone; what is loaded needs its file no longer."""
    with tempfile.TemporaryDirectory(prefix="losslab-") as scratch:
        return _load(_compile(command, Path(scratch)))


def cache_directory() -> Path | None:
    """Return the directory of compiled kernels, or None if it cannot be created or others could write to it."""
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME", ""))
        if not base.is_absolute():  # as the XDG specification says
            base = Path.home() / ".cache"
        directory = base / "losslab"
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return directory if is_private(directory) else None
    except (OSError, RuntimeError) as error:  # RuntimeError: neither HOME nor an entry for the user in passwd
        log.debug("there is no cache of kernels: %s", error)
        return None


def is_private(path: Path) -> bool:
    """Return whether only this user can write to a file or directory, or replace it or a directory that it is in."""
    if os.name != "posix":
        return True  # directories of a user's profile are the user's own
    own = path.lstat()
    if stat.S_ISLNK(own.st_mode) or own.st_uid != os.getuid() or own.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return False
    owners = {os.getuid(), 0, Path("/").stat().st_uid}  # root has another number in a user namespace
    for parent in path.resolve().parents:
        status = parent.stat()
        replaceable = status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX
        if status.st_uid not in owners or replaceable:
            return False
    return True


def _compile(command: list[str], directory: Path) -> Path:
    path = directory / "kernel.so"
    subprocess.run([*command, SOURCE, "-o", path, "-lm"], check=True, capture_output=True, text=True)  # noqa: S603
    return path


def _load(path: Path) -> ctypes.CDLL:
    """Load a kernel.

    Raises:
        OSError: If the file is no library of this system.
        AttributeError: If it lacks one of the functions.
    """
    kernel = ctypes.CDLL(str(path))
    for name in FUNCTIONS:
        getattr(kernel, name)
    return kernel


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _key(command: list[str]) -> str:
    """Return a hash of all that the compiled kernel depends on: source, flags, compiler and processor."""
    compiler = Path(command[0]).resolve()
    status = compiler.stat()
    compiler_version = f"{compiler} {status.st_size} {status.st_mtime_ns}"
    content = "\n".join([SOURCE.read_text(encoding="utf-8"), *command, compiler_version, _processor()])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _processor() -> str:
    """Return the processor's instruction sets, as machines that share a home directory may differ in them."""
    lines = CPUINFO.read_text(encoding="utf-8").splitlines() if CPUINFO.exists() else []
    return next((line for line in lines if line.startswith(("flags", "Features"))), platform.processor())
