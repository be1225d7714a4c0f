"""Mixed precision of training: bfloat16 where the device computes in it, else float32 and why.

Products of matrices are in bfloat16; parameters, their gradients, the optimiser and what is sent
stay float32, and so do the terms of a loss (:func:`in_float32`) and all that is not training:
validation, logits, correction. bfloat16 has float32's range, so that no loss is scaled.

References
----------
Micikevicius et al. 2018, arXiv:1710.03740; Kalamkar et al. 2019 (bfloat16), arXiv:1905.12322.
"""

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from common.precision_name import PrecisionName

# What a CPU says that multiplies in bfloat16: x86's two, and ARM's two.
CPU_BF16 = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")


@dataclass(frozen=True)
class Precision:
    """What a device trains in.

    Parameters
    ----------
    bf16
        Whether products are in bfloat16.
    reason
        Why they are not, although the run asks for it; else "".
    """

    bf16: bool = False
    reason: str = ""

    def on(self, device: torch.device) -> AbstractContextManager:
        """The context of a forward pass and its loss; nothing in float32."""
        return torch.autocast(device.type, torch.bfloat16) if self.bf16 else nullcontext()


FLOAT32 = Precision()


def precision_of(asked: PrecisionName, device: torch.device) -> Precision:
    """What ``device`` trains in where a run asks for ``asked``."""
    if asked == "float32":
        return FLOAT32
    if device.type == "cuda":
        with torch.cuda.device(device):
            # Emulated it would be slower than float32.
            if torch.cuda.is_bf16_supported(including_emulation=False):
                return Precision(bf16=True)
            name = torch.cuda.get_device_name(device)
        return Precision(reason=f"the GPU, {name}, has no bfloat16: it takes compute capability 8")
    if device.type != "cpu":
        return Precision(reason=f"a device of type {device.type} is not known to have bfloat16")
    if cpu_has_bf16():
        return Precision(bf16=True)
    return Precision(
        reason="the CPU has no instructions for bfloat16 (AVX512-BF16, AMX, or ARM's), without "
        "which it would take longer than float32"
    )


def cpu_has_bf16() -> bool:
    """Whether the CPU multiplies in bfloat16 by instructions of its own."""
    capabilities = getattr(torch.cpu, "get_capabilities", None)
    if capabilities is None:
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return any(capabilities().get(name, False) for name in CPU_BF16)


def in_float32(term: Callable[..., Any]) -> Callable[..., Any]:
    """A function of tensors that computes in float32 inside :meth:`Precision.on` too.

    Arguments in bfloat16 are widened; others stay as they are, float64 for one.
    """

    @functools.wraps(term)
    def whole(*args: Any, **named: Any) -> Any:
        (device, *_) = {a.device.type for a in args if isinstance(a, torch.Tensor)}
        with torch.autocast(device, enabled=False):
            return term(*map(_wide, args), **{key: _wide(value) for key, value in named.items()})

    return whole


def _wide(value: Any) -> Any:
    is_narrow = isinstance(value, torch.Tensor) and value.dtype == torch.bfloat16
    return value.float() if is_narrow else value
