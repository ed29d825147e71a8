import subprocess
import sys

import numpy as np
import pytest
import torch

from vaefrag_core.training.parameter_stack import ParameterStack

# Of sizes that vector instructions take whole: their ragged ends round differently in a block and alone.
WEIGHTS = {
    "a": np.linspace(-1, 1, 64, dtype=np.float32).reshape(4, 16),
    "b": np.ones(32, dtype=np.float32),
    "filters": np.linspace(-2, 2, 96, dtype=np.float32).reshape(3, 8, 2, 2),
}


def loss_of(parameters: dict[str, torch.Tensor]) -> torch.Tensor:
    """Give a loss for each of the members whose parameters are stacked."""
    filters = torch.linspace(1, 2, 8)[:, None, None] * parameters["filters"]  # each place its own gradient
    losses = (parameters["a"].sin() ** 2).sum(dim=(1, 2)) + (parameters["b"].exp() - 2).square().sum(dim=1)
    return losses + filters.cos().sum(dim=(1, 2, 3, 4))


def losses_of(stack: ParameterStack, vectorized: bool) -> torch.Tensor:
    """Give the loss of each member of a stack."""
    if vectorized:
        (parameters,) = stack.parameters
        return loss_of(parameters)
    return torch.cat([loss_of({name: p[None] for name, p in named.items()}) for named in stack.parameters])


@pytest.mark.parametrize("vectorized", [True, False])
def test_steps_are_those_of_torch_adam_to_the_last_bit_also_when_resumed(vectorized: bool) -> None:
    other = {name: array * 2 for name, array in WEIGHTS.items()}
    stack = ParameterStack([WEIGHTS, other], 1e-2, "cpu", betas=(0.5, 0.9), vectorized=vectorized)
    for step in range(20):
        if step == 10:
            moments = stack.moments()
            stack = ParameterStack(stack.weights(), 1e-2, "cpu", betas=(0.5, 0.9), vectorized=vectorized)
            stack.resume(moments, 10)
        stack.step(losses_of(stack, vectorized))
    for alone, stacked in zip((WEIGHTS, other), stack.weights(), strict=True):
        parameters = {name: torch.tensor(array)[None].requires_grad_() for name, array in alone.items()}
        adam = torch.optim.Adam(list(parameters.values()), lr=1e-2, betas=(0.5, 0.9), fused=True)
        for _ in range(20):
            adam.zero_grad()
            loss_of(parameters).sum().backward()
            adam.step()
        for name, tensor in parameters.items():
            np.testing.assert_array_equal(stacked[name], tensor.detach().numpy()[0])


def test_rounded_parameters_move_as_if_every_use_had_rounded_them() -> None:
    rounded, fine = (ParameterStack([WEIGHTS], 1e-2, "cpu", bfloat16=on) for on in (True, False))
    for stack in (rounded, fine):
        for _ in range(5):
            (parameters,) = stack.parameters
            stack.step(loss_of({name: p.bfloat16().float() for name, p in parameters.items()}))
    assert {p.dtype for p in rounded.parameters[0].values()} == {torch.bfloat16}
    for name, weights in rounded.weights()[0].items():
        assert weights.dtype == np.float32
        np.testing.assert_array_equal(weights, fine.weights()[0][name])


def test_training_does_not_load_torch_s_compiler() -> None:
    code = (
        "import sys, numpy as np; from vaefrag_core.training.parameter_stack import ParameterStack;"
        "stack = ParameterStack([{'a': np.ones(3, dtype=np.float32)}], 0.1, 'cpu');"
        "stack.step(stack.parameters[0]['a'].square().sum(dim=1)); print('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
