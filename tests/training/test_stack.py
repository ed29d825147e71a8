import subprocess
import sys

import numpy as np
import torch

from vaefrag_core.training.stack import ParameterStack

# Of sizes that vector instructions take whole: their ragged ends round differently in a block and alone.
WEIGHTS = {"a": np.linspace(-1, 1, 64, dtype=np.float32).reshape(4, 16), "b": np.ones(32, dtype=np.float32)}


def loss_of(parameters: dict[str, torch.Tensor]) -> torch.Tensor:
    """Give a loss for each of the members whose parameters are stacked."""
    return (parameters["a"].sin() ** 2).sum(dim=(1, 2)) + (parameters["b"].exp() - 2).square().sum(dim=1)


def test_steps_are_those_of_torch_adam_to_the_last_bit_also_when_resumed() -> None:
    other = {name: array * 2 for name, array in WEIGHTS.items()}
    stack = ParameterStack([WEIGHTS, other], 1e-2, "cpu", betas=(0.5, 0.9))
    for step in range(20):
        if step == 10:
            moments = stack.moments()
            stack = ParameterStack(stack.weights(), 1e-2, "cpu", betas=(0.5, 0.9))
            stack.resume(moments, 10)
        stack.step(loss_of(stack.parameters))
    for alone, together in zip((WEIGHTS, other), stack.weights(), strict=True):
        parameters = {name: torch.tensor(array)[None].requires_grad_() for name, array in alone.items()}
        adam = torch.optim.Adam(list(parameters.values()), lr=1e-2, betas=(0.5, 0.9), fused=True)
        for _ in range(20):
            adam.zero_grad()
            loss_of(parameters).sum().backward()
            adam.step()
        for name, tensor in parameters.items():
            np.testing.assert_array_equal(together[name], tensor.detach().numpy()[0])


def test_training_does_not_load_torch_s_compiler() -> None:
    code = (
        "import sys, numpy as np; from vaefrag_core.training.stack import ParameterStack;"
        "stack = ParameterStack([{'a': np.ones(3, dtype=np.float32)}], 0.1, 'cpu');"
        "stack.step(stack.parameters['a'].square().sum(dim=1)); print('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
