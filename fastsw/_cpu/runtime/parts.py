"""Functions that are compiled as parts of kernels only.

Numba makes every compiled function callable from Python: it optimises it, generates its machine
code, and wraps it. What kernels call needs none of that, because it is optimised and generated
again inside of them. A kernel is made of about a hundred such functions.
"""

from __future__ import annotations

from numba.core import compiler, targetconfig
from numba.core.codegen import JITCodeLibrary
from numba.extending import register_jitable


class _NoEngine:
    """Stands for the machine code that parts do not have."""

    @staticmethod
    def set_env(name, env):
        """Forget the environment, which only calls from Python need."""


class _PartLibrary(JITCodeLibrary):
    """Code that is linked into that of kernels, and never run as it is."""

    codegen = _NoEngine()

    def _optimize_functions(self, ll_module):
        """Leave it to the kernel."""
        ll_module.data_layout = self._codegen._data_layout

    def finalize(self):
        """Leave it to the kernel."""
        self._raise_if_finalized()
        self._finalize_dynamic_globals()
        self._finalized = True

    def get_pointer_to_function(self, name):
        """Numba's null: no such function can be called."""
        return 0


class _KernelLibrary(JITCodeLibrary):
    """Code that is run, with all its parts."""

    def add_linking_library(self, library):
        """Link a library, and what the parts of it link."""
        if library not in self._linking_libraries:
            super().add_linking_library(library)
            if isinstance(library, _PartLibrary):
                for inner in library._linking_libraries:
                    self.add_linking_library(inner)


def _compiler(make_library):
    """Numba's compiler, with another library for what it makes."""

    class Compiler(compiler.Compiler):
        def __init__(self, typingctx, targetctx, library, *rest):
            super().__init__(typingctx, targetctx, make_library(targetctx), *rest)

    return Compiler


def _kernel_library(context):
    library = _KernelLibrary(context.codegen(), "kernel")
    library.enable_object_caching()
    return library


def _part_library(context):
    return _PartLibrary(context.codegen(), "part")


#: Options of Numba for a function that is run.
KERNEL: dict = {"pipeline_class": _compiler(_kernel_library)}

#: Options of Numba for a function that only kernels call.
PART: dict = {
    "pipeline_class": _compiler(_part_library),
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}

#: A plain function that kernels may call, too.
callable_in_kernels = register_jitable(**PART)


def declare_part(context, module, function, signature):
    """Compile a function as a part of the kernel that is being compiled; its LLVM declaration."""
    flags = compiler.Flags()
    caller = targetconfig.ConfigStack.top_or_none()
    flags.nrt = caller is not None and caller.nrt
    flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
    library = _part_library(context)
    part = compiler.compile_internal(
        context.typing_context,
        context,
        library,
        function,
        signature.args,
        signature.return_type,
        flags,
        locals={},
    )
    context.active_code_library.add_linking_library(library)
    return context.declare_function(module, part.fndesc)
