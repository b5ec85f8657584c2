import ctypes
import hashlib
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from src.engines.native import compile
from src.engines.native.compile import TUNING, cache_directory, is_private, load_kernel

needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler, cc")


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the directory of an empty cache; kernels are not optimised, which takes long."""
    monkeypatch.setenv(TUNING, "-O0")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "losslab"


def cached(directory: Path) -> list[Path]:
    return sorted(directory.iterdir())


def named(path: Path, content: bytes) -> Path:
    """Return the path with the hash of a content in place of its own."""
    return path.with_name(f"{path.name.rpartition('-')[0]}-{hashlib.sha256(content).hexdigest()}.so")


def load() -> ctypes.CDLL:
    kernel, reason = load_kernel()
    assert reason is None
    assert kernel is not None
    assert kernel.forward
    assert kernel.backward
    assert kernel.train
    return kernel


@needs_compiler
def test_the_kernel_is_compiled_once_for_each_set_of_flags(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load()
    [path] = cached(directory)
    assert path == named(path, path.read_bytes())
    assert [stat.S_IMODE(each.stat().st_mode) for each in (path, directory)] == [0o700, 0o700]
    before = path.stat()
    load()
    assert cached(directory) == [path]
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    monkeypatch.setenv(TUNING, "-O1")
    load()
    assert len(cached(directory)) == 2


@needs_compiler
def test_processors_that_share_a_cache_load_kernels_of_their_own(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []
    open_library = ctypes.CDLL
    monkeypatch.setattr(compile.ctypes, "CDLL", lambda path: loaded.append(path) or open_library(path))
    features = {
        "x86": "flags\t\t: fpu sse2 avx avx2 fma",
        "wider": "flags\t\t: fpu sse2 avx avx2 fma avx512f",
        "arm": "Features\t: fp asimd",
    }
    for name in (*features, *features):
        monkeypatch.setattr(compile, "CPUINFO", tmp_path / name)
        (tmp_path / name).write_text(f"processor\t: 0\n{features[name]}\n", encoding="utf-8")
        load()
    assert loaded[:3] == loaded[3:]
    assert len(set(loaded)) == len(cached(directory)) == 3


@needs_compiler
@pytest.mark.parametrize("content", ["empty", "cut", "other symbols", "no library"])
def test_a_damaged_library_is_replaced(content: str, directory: Path, tmp_path: Path) -> None:
    load()
    [path] = cached(directory)
    good = path.read_bytes()
    (tmp_path / "other.c").write_text("int other(void) { return 1; }")
    subprocess.run(["cc", "-shared", "-fPIC", tmp_path / "other.c", "-o", tmp_path / "other.so"], check=True)
    damaged = {
        "empty": b"",
        "cut": good[: len(good) // 2],
        "other symbols": (tmp_path / "other.so").read_bytes(),
        "no library": b"no library",
    }[content]
    path.unlink()  # as this process has loaded it
    if content in ("other symbols", "no library"):
        path = named(path, damaged)
    path.write_bytes(damaged)
    path.chmod(0o700)
    load()
    assert good in [path.read_bytes() for path in cached(directory)]


def plant(directory: Path, sentinel: Path) -> Path:
    """Put a library that creates a file when it is loaded in place of the kernel, under the right name."""
    load()
    [path] = cached(directory)
    source = directory.parent / "evil.c"
    source.write_text(
        "#include <stdio.h>\n"
        f'__attribute__((constructor)) void run(void) {{ fclose(fopen("{sentinel}", "w")); }}\n'
        "void forward(void) {}\nvoid backward(void) {}\nvoid train(void) {}\n"
    )
    path.unlink()  # as this process has loaded it
    subprocess.run(["cc", "-shared", "-fPIC", source, "-o", path], check=True)
    return path.rename(named(path, path.read_bytes()))


@needs_compiler
@pytest.mark.parametrize("way", ["own", "file", "directory", "parent", "link", "owner"])
def test_no_library_that_others_could_have_written_is_loaded(
    way: str, directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sentinel = tmp_path / "sentinel"
    planted = plant(directory, sentinel)
    planted.chmod(0o700)
    if way == "file":
        planted.chmod(0o722)
    elif way == "directory":
        directory.chmod(0o777)
    elif way == "parent":
        directory.parent.chmod(0o777)
    elif way == "link":
        directory.rename(tmp_path / "elsewhere")
        directory.symlink_to(tmp_path / "elsewhere")
    elif way == "owner":
        user = os.getuid()
        monkeypatch.setattr(compile.os, "getuid", lambda: user + 1)
    load()
    assert sentinel.exists() == (way == "own")  # which shows that the sentinel works
    if way not in ("own", "file"):
        assert cached(directory) == [directory / planted.name]


@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
def test_a_directory_in_a_shared_one_with_the_sticky_bit_is_private(tmp_path: Path) -> None:
    shared, own = tmp_path / "shared", tmp_path / "shared" / "own"
    own.mkdir(parents=True, mode=0o700)
    shared.chmod(0o777)
    assert not is_private(own)
    shared.chmod(0o1777)
    assert is_private(own)


@needs_compiler
@pytest.mark.parametrize("cache", ["relative", "{file}/below"])
def test_without_home_or_a_cache_the_kernel_is_compiled_for_the_process(
    cache: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", cache.format(file=tmp_path / "file"))
    monkeypatch.setattr(Path, "home", no_home)
    assert cache_directory() is None
    load()
    assert cached(tmp_path) == [tmp_path / "file"]


def test_without_a_compiler_there_is_no_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert load_kernel() == (None, "needs a C compiler, cc")


@pytest.mark.skipif(os.name != "posix", reason="the compiler is a shell script")
@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo kernel.c:1: unknown >&2; exit 1", "cannot be compiled (kernel.c:1: unknown)"),
        ("exit 0", "cannot be loaded ("),
        (': > "${@: -2:1}"', "cannot be loaded ("),
    ],
)
def test_a_compiler_that_fails_is_named_and_leaves_no_files(
    script: str, reason: str, directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = tmp_path / "cc"
    compiler.write_text(f"#!/bin/bash\n{script}\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    kernel, found = load_kernel()
    assert kernel is None
    assert found is not None
    assert found.startswith(reason)
    assert all(path.stat().st_size == 0 for path in cached(directory))
