"""The kernel functions compiled by numba: the same source, some hundred times as fast (see docs/speed.md).

Each function of mmsim.mm gets a twin that numba types and lowers once; an entry point, called from Python,
is linked with all twins that it needs into one module, optimised as a whole, and kept on disk.
"""

import contextlib
import functools
import gc
import hashlib
import os
import pickle
import sys
import threading
import types as python_types

import llvmlite.binding as llvm
import numba
from numba import types
from numba.core.codegen import JITCodeLibrary, RuntimeLinker
from numba.core.caching import NullCache
from numba.core.compiler import CompilerBase, CompileResult, PassManager
from numba.core.serialize import dumps
from numba.core.typed_passes import NativeLowering, NoPythonBackend, NopythonTypeInference, PreLowerStripPhis
from numba.core.untyped_passes import FixupArgs, IRProcessing, ReconstructSSA, TranslateByteCode
from tqdm.auto import tqdm

from . import compile_cache
from ..mm import (
    cpuset, fault, filemap, fork, mbind, memory_failure, mlock, mmap, mmzone, move_pages, sched, shmem, swap, swapfile,
    timer, vmscan,
)
from .compile_cache import ANY, V1
from .constants import code_of_v1
from .numba_tables import K, Tables as Tables
from .writing import replacing

# What is called from Python; `k` is followed by numbers, but for the arrays below.
ENTRIES = (
    mlock.do_mlock, mmap.new_vma, mmap.insert_vm_struct, mmap.do_munmap, fault.touch_range, fault.make_pages_present,
    fault.get_user_pages, fork.dup_mmap, filemap.generic_file_write, shmem.shmem_file_write, mbind.do_mbind,
    mbind.do_migrate_pages, mbind.migrate_frames, move_pages.sys_move_pages, cpuset.cpuset_attach,
    cpuset.update_nodemask,
    swap.release_pages, swap.lru_add_drain_all, swapfile.sys_swapoff, timer.add_timer, filemap.hold_locks,
    timer.wait_until, sched.cond_resched, vmscan.run_kswapd, vmscan.evict_oldest, mmzone.walk_list,
    memory_failure.soft_offline_page,
)  # fmt: skip
NUMBERS = types.int64[::1]
ARRAYS = dict.fromkeys(("faults", "pfns", "left_out", "addresses", "wanted", "status"), NUMBERS) | {
    "on": types.int32[::1], "owners": types.int64[:, ::1],
}  # fmt: skip
# Those of numba's passes that do something here; all others cost a sixth of the time.
PASSES = (
    TranslateByteCode, FixupArgs, IRProcessing, ReconstructSSA, NopythonTypeInference, PreLowerStripPhis,
    NativeLowering, NoPythonBackend,
)  # fmt: skip


class Part(JITCodeLibrary):
    """The code of a twin.  numba would optimise and load each on its own, over and over: it only waits to be linked."""

    all = ()
    codegen = property(lambda self: self)  # asked for nothing but the next line

    def set_env(self, name, env):
        """The environment serves exceptions; the kernel raises none."""

    def get_pointer_to_function(self, _name):
        """Not callable by itself."""
        Part.all += (self,)
        return 0

    def add_linking_library(self, library):
        self._linking_libraries.append(library)

    def add_ir_module(self, ir_module):
        """Its code as LLVM reads it; numba would check and optimise it here, and again with the whole."""
        self._final_module = llvm.parse_assembly(str(ir_module))

    def needs(self):
        """The parts that it calls.  Where a function was still being compiled (recursion), numba says so by a name."""
        names = {*recursive_calls(self._final_module).values()}
        resolved = [part for part in Part.all if names & part.functions()] if names else []
        return [*self._linking_libraries, *resolved]

    def functions(self):
        """The names of those that it defines."""
        return {f.name for f in self._final_module.functions if not f.is_declaration}


def recursive_calls(module):
    """The variables through which numba calls functions that it has not compiled yet: {variable: function}."""
    names = [v.name for v in module.global_variables if v.name.startswith(RuntimeLinker.PREFIX)]
    return {name: name.removeprefix(RuntimeLinker.PREFIX) for name in names}


class Whole(JITCodeLibrary):
    """The code of an entry point and of all that it calls, one module."""

    add_linking_library = Part.add_linking_library

    def finalize(self):
        module = self._final_module
        own = {f.name for f in module.functions} | {v.name for v in module.global_variables}
        parts = list(dict.fromkeys(self._linking_libraries))
        for part in parts:
            module.link_in(part._final_module, preserve=True)
            parts += [p for p in dict.fromkeys(Part.needs(part)) if p not in parts]
        self._linking_libraries = []
        for name, target in recursive_calls(module).items():
            module.link_in(llvm.parse_assembly(f'declare void @"{target}"()\n@"{name}" = constant ptr @"{target}"'))
        for value in (*module.functions, *module.global_variables):
            if value.name not in own and not value.is_declaration:
                value.linkage = "internal"  # what is inlined everywhere need not stay
        missing = [f.name for f in module.functions if f.is_declaration and f.name.startswith("_ZN5mmsim")]
        assert not missing, missing  # a call of it would end the process
        super().finalize()


class KernelCompiler(CompilerBase):
    """numba's compiler, which puts the code of each function into a Part or a Whole, and tells the progress bar."""

    bar = None

    def define_pipelines(self):
        KernelCompiler.bar.set_postfix_str(self.state.func_id.func_name, refresh=False)
        KernelCompiler.bar.update()
        library = Part if self.state.flags.no_cpython_wrapper else Whole
        self.state.library = library(self.state.targetctx.codegen(), self.state.func_id.func_qualname)
        self.state.library.enable_object_caching()
        passes = PassManager("kernel")
        for one in PASSES:
            passes.add_pass(one, one.__name__)
        passes.finalize()
        return [passes]


class CodeFile(NullCache):
    """The code of an entry point on disk, behind a checksum, as code with a wrong bit could end the process.

    A damaged file counts as none, and is replaced.  Where no file can be written, there is none.
    """

    def __init__(self, folder, function, kind):
        self.folder, self.name = folder, compile_cache.name_of(function.__module__, function.__name__, kind)

    def file(self, codegen):
        """Code is for one processor; a home directory may serve several."""
        cpu = hashlib.sha256(repr(codegen.magic_tuple()).encode()).hexdigest()[:16]
        return self.folder / f"{self.name}-{cpu}.code"

    def load_overload(self, sig, target_context):  # noqa: ARG002
        """What numba needs to go on with code from the disk, or None."""
        target_context.refresh()
        try:
            content = self.file(target_context.codegen()).read_bytes()
        except OSError:
            return None
        seal, code = content[:32], content[32:]
        return CompileResult._rebuild(target_context, *pickle.loads(code)) if sealed(code) == seal else None

    def save_overload(self, sig, cres):  # noqa: ARG002
        code = dumps(cres._reduce())
        with contextlib.suppress(OSError), replacing(self.file(cres.codegen)) as file:
            file.write(sealed(code) + code)


def sealed(code):
    """The checksum of some code, 32 bytes."""
    return hashlib.sha256(code).digest()


@contextlib.contextmanager
def no_garbage():
    """While numba compiles, nearly all that it makes stays: looking for garbage would take a tenth of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def jit(function, kind, names, **options):
    """A numba dispatcher for a function of a kind of kernel, which finds the others in `names`."""
    code = code_of_v1(function) if kind == V1 else function.__code__
    shadow = python_types.FunctionType(code, names, function.__name__)
    shadow.__qualname__ = f"{function.__name__}_{kind}"  # the linker knows it by this
    # Nothing here allocates: numba's reference counting (_nrt) would be pure loss.  No divisor is ever 0.
    options |= {"_nrt": False, "error_model": "numpy", "no_cfunc_wrapper": True, "pipeline_class": KernelCompiler}
    dispatcher = numba.njit(shadow, **options)
    fold = dispatcher._compiler.fold_argument_types

    def widen(args, kws):
        """One signature a function: no literals, no booleans."""
        signature, args = fold(args, kws)
        return signature, tuple(types.int64 if isinstance(a, (types.Integer, types.Boolean)) else a for a in args)

    dispatcher._compiler.fold_argument_types = widen
    return dispatcher


@functools.cache
def compile_kernel(kind=ANY, helped=True):
    """A function that maps a plain kernel function to its compiled twin, to be called from Python.

    `kind`: ANY for one that every machine can run; V1 for one without what came later, which is made sooner.
    """
    modules = compile_cache.kernel_modules()
    folder = compile_cache.folder()
    helper = compile_cache.helper(kind) if helped else None
    shadows = {module.__name__: dict(vars(module)) for module in modules}
    twins = {
        function: jit(function, kind, shadows[module.__name__], no_cpython_wrapper=True)
        for module in modules
        for function in vars(module).values()
        if isinstance(function, python_types.FunctionType) and function.__module__ == module.__name__
    }
    for names in shadows.values():
        names.update({name: twins.get(f, f) for name, f in names.items() if isinstance(f, python_types.FunctionType)})

    @functools.cache
    def entry(function):
        with no_garbage(), tqdm(
            desc="compiling the kernel for this machine, once", bar_format="{desc}: {n} functions{postfix}",
            delay=1, mininterval=0.5, leave=False,
        ) as bar:  # fmt: skip
            KernelCompiler.bar = bar
            twin = jit(function, kind, shadows[function.__module__])
            if folder:
                twin._cache = CodeFile(folder, function, kind)
            arguments = function.__code__.co_varnames[1 : function.__code__.co_argcount]
            signature = (K(), *(ARRAYS.get(name, types.int64) for name in arguments))
            if helper and function.__name__ in helper.pending:
                bar.set_postfix_str(f"{function.__name__} in a second process")
                helper.wait_for(function.__name__)
            twin.compile(signature)
            twin.disable_compile()
        return twin

    return entry


def main(kind=None, *names):
    """Compile all entry points of both kinds; or some of one, for a Helper: tell each that is done, and end with it."""
    if names:
        threading.Thread(target=lambda: sys.stdin.read() or os._exit(1), daemon=True).start()
    entries = {function.__name__: function for function in ENTRIES}
    for one in [kind] if names else compile_cache.KINDS:
        for name in names or entries:
            compile_kernel(one, helped=False)(entries[name])
            if names:
                sys.stdout.write(f"{name}\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
