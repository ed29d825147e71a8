"""The GPUs of this machine, asked for without loading PyTorch into the process that asks."""

import json
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vaefrag.settings import DeviceChoice
from vaefrag_core.errors import InvalidInputError

# What the drivers of NVIDIA (Linux, WSL) and AMD make; without one of them PyTorch finds no GPU there.
DRIVER_FILES = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
PROBE_SECONDS = 120.0
PROBE = """
import json, torch
cuda = torch.cuda.device_count() if torch.cuda.is_available() else 0
print(json.dumps({"cuda": cuda, "mps": int(torch.backends.mps.is_available())}))
"""


@dataclass(frozen=True)
class FoundGpus:
    """The GPUs that an engine uses on its own machine.

    Args:
        choice: the device that was chosen, or found: "cpu", "cuda" or "mps".
        device: torch's name for it.
        count: the number of GPUs; 0 for none.
    """

    choice: DeviceChoice
    device: str
    count: int


def find_gpus(choice: DeviceChoice, gpu_device: str | None = None) -> FoundGpus:
    """Find the GPUs of this machine that a choice of a device stands for.

    Args:
        choice: "auto" for GPUs when there are some, "cpu" for none, or the kind of GPU.
        gpu_device: torch's name that takes the place of the kind's; None for the kind's own.

    Returns:
        The GPUs; those of "auto" may be none.

    Raises:
        InvalidInputError: when a kind of GPU is named and PyTorch finds none.
    """
    if choice == "cpu" or (choice == "auto" and not may_have_gpu()):
        return FoundGpus("cpu", "cpu", 0)
    if choice == "auto":
        usable = usable_gpus()
        kind: DeviceChoice | None = next((name for name in ("cuda", "mps") if usable.get(name)), None)
        return FoundGpus(kind, gpu_device or kind, usable[kind]) if kind else FoundGpus("cpu", "cpu", 0)
    device = gpu_device or choice
    count = count_gpus(device)
    if not count:
        raise InvalidInputError(
            f"Expected a GPU for --device {choice}, got none that PyTorch can use here. Give --device auto, which takes"
            " the CPU where there is no GPU, or install a PyTorch that knows it (README, With or without a GPU)."
        )
    return FoundGpus(choice, device, count)


def count_gpus(device: str) -> int:
    """Return the number of GPUs that PyTorch can use by one of its names; 1 by a name that is not of a known kind.

    Args:
        device: torch's name of a device, such as "cuda" or "cuda:0".
    """
    kind = device.partition(":")[0]
    return usable_gpus().get(kind, 0) if kind in ("cuda", "mps") else 1


def may_have_gpu() -> bool:
    """Return whether there may be a GPU: a quick look, after which PyTorch need not be asked in vain."""
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    return sys.platform == "win32" or any(Path(name).exists() for name in DRIVER_FILES)


def usable_gpus() -> Mapping[str, int]:
    """Return the number of GPUs of each kind that PyTorch can use, asked in a process of its own.

    Returns:
        The numbers by kind; none when PyTorch cannot be loaded.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", PROBE], capture_output=True, text=True, timeout=PROBE_SECONDS, check=True
        )
        return dict(json.loads(done.stdout.splitlines()[-1]))
    except (subprocess.SubprocessError, OSError, ValueError, IndexError):
        return {}
