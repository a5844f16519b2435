"""How much memory is free, to refuse what cannot be held before the machine is brought down."""

from __future__ import annotations

import os

import torch

__all__ = ["free_memory", "readable"]


def free_memory(device: torch.device) -> int | None:
    """Bytes free on a device; None where that cannot be known."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type != "cpu":
        return None
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def readable(size: float) -> str:
    """Bytes, for a message."""
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if size < 1000.0 or unit == "TB":
            return f"{size:.3g} {unit}"
        size /= 1000.0
    raise AssertionError("unreachable")
