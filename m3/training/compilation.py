"""Kernels by torch's compiler, where the settings ask for them."""

from torch import nn

from m3.errors import UserError
from m3.nn.retnet import RetNet


def compile_imagination(agent: nn.Module) -> None:
    """Let torch's compiler make the kernels of the layers that imagine.

    It does so at the first imagined steps, which takes seconds, and keeps what it made on disk for other processes
    (``TORCHINDUCTOR_CACHE_DIR``).

    Raises:
        UserError: there is no C++ compiler.
    """
    # the compiler takes a second to import
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler as error:
        raise UserError(
            "`compile: default` needs a C++ compiler, such as g++: install one, or set it to none"
        ) from error
    for module in agent.modules():
        if isinstance(module, RetNet):
            module.compile_without_gradients()
