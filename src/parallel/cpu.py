"""The CPUs that this process may use."""

import os


def available_cpus() -> int:
    """Return how many CPUs this process may use: those of its affinity mask, or all where the system has no masks."""
    return len(cpu_indices()) or os.cpu_count() or 1


def cpu_indices() -> list[int]:
    """Return the indices of these CPUs, to pin a process to one; empty where the system cannot."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
