"""How the engine goes about its work, as the settings say."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EngineTimeouts:
    """How patient the engine is, in seconds.

    Args:
        grace: that work which is no longer wanted has to stop by itself, before its process is killed.
        turn: that work has had a slot before it may have to make room for others.
        analysis: between two analyses of an ensemble that is still being trained.
        checkpoint: between two checkpoints of a member.
    """

    grace: float = 10.0
    turn: float = 20.0
    analysis: float = 60.0
    checkpoint: float = 5.0


@dataclass(frozen=True)
class GpuConfig:
    """What is known about the GPUs of workers.

    Args:
        device: torch's name for one.
        members: that are trained together on one.
    """

    device: str = "cuda"
    members: int = 32
