"""The settings that the engine works by: its timeouts, and the GPUs of its workers."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EngineTimeouts:
    """How long the engine waits, in seconds.

    Args:
        grace_seconds: time for a cancelled task to stop by itself, before its process is killed.
        turn_seconds: time that a task keeps its slot before it may have to make room for another job.
        analysis_seconds: time between two analyses of an ensemble that is still being trained.
        checkpoint_seconds: time between two checkpoints of a member.
    """

    grace_seconds: float = 10.0
    turn_seconds: float = 20.0
    analysis_seconds: float = 60.0
    checkpoint_seconds: float = 5.0


@dataclass(frozen=True)
class GpuConfig:
    """The GPUs of workers, our own among them.

    Args:
        device: torch's name for a GPU.
        members: the number of members that are trained together on one.
    """

    device: str = "cuda"
    members: int = 32
