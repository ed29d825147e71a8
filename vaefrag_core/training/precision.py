"""The number format in which networks multiply while they train.

In bfloat16 a number has 8 bits of significand instead of 24, and processors with instructions for it multiply more of
them a second. Only the networks' products use it. Parameters, their optimizer, the draws of latents and the losses stay
float32, and so do factor-vae's discriminator, which is part of a loss, and all encoding.
"""

import torch

from vaefrag_core.config import Precision

INSTRUCTIONS = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")  # as PyTorch names them, of x86 and of ARM


def products_in(precision: Precision, device: str) -> torch.autocast:
    """Return the context in which networks multiply in a precision.

    Example:
        >>> with products_in("bfloat16", "cpu"):
        ...     (torch.eye(2) @ torch.eye(2)).dtype
        torch.bfloat16
    """
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=precision == "bfloat16")


def cpu_multiplies_bfloat16() -> bool:
    """Return whether this machine's CPU has instructions for bfloat16; True where PyTorch is too old to know."""
    capabilities = getattr(torch.cpu, "get_capabilities", None)
    return capabilities is None or any(capabilities().get(name, False) for name in INSTRUCTIONS)
