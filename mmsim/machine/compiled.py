"""The kernel functions compiled: the same source, some hundred times as fast (see docs/speed.md).

`translate` puts the kernel into the language of LLVM, which makes machine code of it for this processor, as numba
describes it; the code is kept on disk.
"""

import contextlib
import ctypes
import functools
import hashlib

import numpy as np
from llvmlite import binding as llvm
from numba.core.codegen import JITCPUCodegen
from tqdm.auto import tqdm

from . import compile_cache
from ..mm import (
    check_range, cpuset, fault, filemap, fork, mbind, memory, memory_failure, mempolicy, migrate_page, migrate_v1,
    mlock, mmap, mmzone, move_pages, page_alloc, radix_tree, rmap, sched, shmem, swap, swap_state, swapfile, timer,
    trace, vmscan,
)
from .columns import Tables as Tables
from .columns import header
from .compile_cache import ANY, KINDS, V1
from .layout import OFF, known_off
from .signatures import NUMBER, name_of, results, types_of
from .translate import Program
from .writing import replacing

# What is called from Python; all of it is compiled together.
ENTRIES = (
    mlock.do_mlock, mmap.new_vma, mmap.insert_vm_struct, mmap.do_munmap, fault.touch_range, fault.make_pages_present,
    fault.get_user_pages, fork.dup_mmap, filemap.generic_file_write, shmem.shmem_file_write, mbind.do_mbind,
    mbind.do_migrate_pages, mbind.migrate_frames, cpuset.cpuset_attach, cpuset.update_nodemask,
    swap.release_pages, swap.lru_add_drain_all, swapfile.sys_swapoff, timer.add_timer, filemap.hold_locks,
    timer.wait_until, sched.cond_resched, vmscan.run_kswapd, vmscan.evict_oldest, mmzone.walk_list,
    memory_failure.soft_offline_page,
)  # fmt: skip
LATER = (move_pages.sys_move_pages,)  # a call that no kernel of kind V1 has
# What each page goes through stands where it is called, as far as that was measured to be faster.  What hardly ever
# happens, or is called in many places and does much, stands apart.
HOT = (
    fault.fault_in, memory.handle_mm_fault, memory.do_anonymous_page, mempolicy.alloc_page_vma,
    mempolicy.alloc_page_policy, check_range.collect, vmscan.isolate_lru_page, page_alloc.alloc_pages,
    page_alloc.get_page_from_freelist, migrate_v1.migrate_one_page, migrate_v1.lock_for_migration,
    migrate_v1.prepare_anonymous, swap_state.add_to_swap, radix_tree.radix_tree_insert,
    radix_tree.radix_tree_node_alloc, migrate_v1.move_locked_page, migrate_v1.migrate_by_method,
    migrate_page.migrate_page, migrate_page.migrate_page_remove_references, migrate_page.unmap_old_page,
    migrate_page.replace_page, rmap.try_to_unmap, rmap.try_to_unmap_one, migrate_page.migrate_page_copy,
    swap_state.delete_from_swap_cache, migrate_v1.release_new_page, vmscan.move_to_lru, vmscan.swap_page,
    swap.pagevec_add, swap.put_page,
)  # fmt: skip
APART = (
    trace.append, trace.bug, page_alloc.alloc_pages_slow, timer.run_timer, swap.drain_pagevec, memory.do_no_page,
    memory.do_swap_page, memory.do_wp_page, mempolicy.interleave_nodes, mempolicy.weighted_interleave_nodes,
    radix_tree.cache_grow,
)  # fmt: skip
# Of those, what is called in the midst of what each page goes through: it leaves the registers as they were, so that a
# page for which it is not called need not save them.
SPARING = trace.bug, swap.drain_pagevec
CAN_SPARE = "x86_64", "aarch64", "arm64"  # LLVM has such calls for these processors


@functools.cache
def processor():
    """(What kind of machine this is, its processor, the features of that), as numba knows it."""
    return JITCPUCodegen("mmsim").magic_tuple()


# Without this, code writes one byte where only that changes: the processor then waits to read the whole number again.
llvm.set_option("mmsim", "--combiner-reduce-load-op-store-width=false")


def target():
    """What LLVM makes code for: an llvmlite TargetMachine."""
    triple, cpu, features = processor()
    machine = llvm.Target.from_triple(triple)
    # code that calls a function by its distance: else each function that calls some keeps their addresses at hand
    return machine.create_target_machine(cpu, features, opt=3, reloc="pic", codemodel="small", jit=True)


def compile_functions(functions, kind):
    """Machine code of some kernel functions and of all that they call, as the bytes of an object file."""
    with tqdm(
        desc="compiling the kernel for this machine, once", bar_format="{desc}{postfix}", delay=1, leave=False
    ) as bar:
        bar.set_postfix_str("translating")
        sparing = SPARING if processor()[0].startswith(CAN_SPARE) else ()
        program = Program(functions, OFF if kind == V1 else (), HOT, APART, sparing)
        bar.set_postfix_str(f"optimising {len(program.made)} functions")
        module, machine = llvm.parse_assembly(str(program.module)), target()
        module.triple, module.data_layout = machine.triple, str(machine.target_data)
        options = llvm.create_pipeline_tuning_options(speed_level=3)
        options.loop_unrolling = options.loop_vectorization = options.slp_vectorization = False  # nothing to gain here
        passes = llvm.create_pass_builder(machine, options)
        one_by_one = passes.getFunctionPassManager()
        for function in module.functions:  # what is small by then is put where it is called
            one_by_one.run(function, passes)
        passes.getModulePassManager().run(module, passes)
        return machine.emit_object(module)


class Native:
    """Some kernel functions as machine code: `calls` has for each what calls it.

    The code is read from a file, behind a checksum, as code with a wrong bit could end the process; or it is made, and
    written there.  A damaged file counts as none, and is replaced.  Where no file can be written, there is none.
    """

    def __init__(self, functions, name, kind):
        cpu = hashlib.sha256(repr(processor()).encode()).hexdigest()[:16]  # a home may serve several
        folder = compile_cache.folder()
        file = folder and folder / f"{name}.{kind}-{cpu}.code"
        code = file and read(file)
        self.from_disk = bool(code)
        if not code:
            code = compile_functions(functions, kind)
            if file:
                write(file, code)
        # llvmlite's memory manager: constants are near the code then, as that expects
        self.engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target(), use_lmm=True)
        self.engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        self.engine.finalize_object()
        self.calls = {function: self.call(function) for function in functions}

    def call(self, function):
        """What takes Tables and the other arguments of a kernel function, and returns what it returns."""
        width, (_, *types) = results(function), types_of(function)
        assert width in (None, 1), f"{function.__name__}: Python gets one number"
        prototype = ctypes.CFUNCTYPE(ctypes.c_int64 if width else None, *[ctypes.c_int64] * (1 + len(types)))
        native = prototype(self.engine.get_function_address(name_of(function)))
        native.engine = self.engine  # the code is there as long as this is
        arrays = [at for at, one in enumerate(types) if one != NUMBER]
        if not arrays:
            return lambda tables, *args: native(tables.address, *args)

        def run(tables, *args):
            args = [*args]
            headers = [np.array(header(args[at]), np.int64) for at in arrays]
            for at, one in zip(arrays, headers, strict=True):
                args[at] = one.ctypes.data
            return native(tables.address, *args)

        return run


def read(file):
    """The code in a file; None if there is none, or a damaged one."""
    try:
        content = file.read_bytes()
    except OSError:
        return None
    seal, code = content[:32], content[32:]
    return code if checksum(code) == seal else None


def write(file, code):
    """Keep some code, if that can be done."""
    with contextlib.suppress(OSError), replacing(file) as out:
        out.write(checksum(code) + code)


def checksum(code):
    """32 bytes that go before some code."""
    return hashlib.sha256(code).digest()


def called(kind):
    """What Python calls on a machine of a kind."""
    return ENTRIES if kind == V1 else ENTRIES + LATER


@functools.cache
def entries(kind):
    """The Native of what Python calls on a machine of a kind."""
    return Native(called(kind), "entries", kind)


@functools.cache
def compile_kernel(kind=ANY):
    """A function that maps a plain kernel function to its compiled twin, to be called from Python.

    `kind`: ANY for one that every machine can run; V1 for one without trace and later changes, smaller and faster.
    """

    @functools.cache
    def twin(function):
        made = entries(kind) if function in called(kind) else Native((function,), name_of(function), kind)  # for a test
        return made.calls[function]

    return twin


def twins(tables):
    """What `compile_kernel` gives for a machine as it is: of kind V1, if it has neither a trace nor a later change."""
    return compile_kernel(V1 if known_off(tables) == OFF else ANY)


if __name__ == "__main__":
    for kind in KINDS:
        entries(kind)
