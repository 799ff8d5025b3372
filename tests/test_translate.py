"""What is translated means what Python means; what is not in the kernel's language is refused, with its line."""

import functools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from machines import differing

from mmsim import Kernel, Topology
from mmsim.machine import compile_cache, compiled
from mmsim.machine.translate import Program

LIMITS = (3, 5)
BIG = 7
NUMBERS = st.integers(-40, 40)


def arithmetic(k, a, b):
    a <<= b & 3
    return ((a + b * BIG - (a >> 1)) ^ ~b) & (a | -b)


def division(k, a, b):
    return (a // b) * 1000 + a % b if b else 0


def conditions(k, a, b):
    if not a < b and (a == BIG or b in LIMITS):
        return 1
    if b not in LIMITS or not b:
        return max(a, b, -3) - min(a, 2)
    return -(a != b) + (a <= b)


def operands(k, a, b):
    return (a and b) * 100 + (a or b) * 10 + ((a and not b) or BIG)


def loops(k, a, b):
    total = 0
    for i in range(a, b, 3):
        if i == 4:
            continue
        if total > 50:
            break
        total += i
        i += 100  # not the course of the loop
    for i in range(b, a, -2):
        total -= i
    while total > 9:
        total -= 1 if total % 2 else total // 2
    return total


def pair(k, a, b):
    return (a, b) if a > b else (b, a)


def unpacked(k, a, b):
    more, less = pair(k, a, b)
    return more * 100 + less


def recursion(k, a, b):
    if a <= 0:
        return b
    return recursion(k, a - 1, b + a)


def columns(k, a, b):
    """Narrow columns are widened with their sign; a row can be copied, a matrix has lines, a table a length."""
    k.file_page[1].pfn = a
    k.file_page[2] = k.file_page[1]
    k.file_page[2].wrote -= 1
    k.zonelist[1][0] += b
    k.zonelist[2][1] -= a
    k.zone[1].free ^= b
    k.sys.clock = a << 32
    return k.file_page[2].pfn * 1000 + k.file_page[2].wrote + k.zonelist[1][0] + len(k.file_page) + (k.sys.clock >> 30)


def nothing(k, a, b):
    k.sys.clock = a
    if b:
        return
    k.sys.clock += 1


@pytest.fixture(scope="module")
def both():
    """Runs a function with two numbers at both speeds: what either returns; the tables must be equal after it."""
    machine = Kernel(Topology.uniform(2, 64), compiled=False)
    start = machine.snapshot()

    def run(function, a, b):
        machine.restore(start)
        tables = {name: table.copy() for name, table in machine.tables.items()}
        answers = [function(machine.k, a, b), native(function)(compiled.Tables(tables), a, b)]
        assert differing(tables, machine.tables) == []
        return answers

    return run


@functools.cache
def native(function):
    """A function compiled, and kept nowhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compile_cache, "folder", lambda: None)
        return compiled.Native((function,), "test", compiled.ANY).calls[function]


def two_numbers(test):
    """Let a test of two numbers try many, and those that have been of use."""
    for a, b in ((7, 3), (-7, 2), (0, 0)):
        test = example(a=a, b=b)(test)
    return given(a=NUMBERS, b=NUMBERS)(test)


FUNCTIONS = [arithmetic, division, conditions, operands, loops, unpacked, recursion, columns, nothing]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
@two_numbers
def test_both_speeds_mean_the_same(both, function, a, b):
    interpreted, native = both(function, a, b)
    assert interpreted == native


def floats(k, a, b):
    return a / b


def words(k, a, b):
    return f"{a}{b}"


def columns_that_are_not(k, a, b):
    return k.sys.no_such + a + b


def tables_in_turn(k, a, b):
    row = k.sys
    row = k.costs
    return row.clock + a + b


def more_or_less(k, a, b):
    if a:
        return a, b
    return b


def raises(k, a, b):
    raise ValueError(a + b)


def unknown(k, a, b):
    return a + nobody(b)  # noqa: F821


def length_by_node(k, a, b):
    return len(k.zone) + a + b


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (floats, r"test_translate.py, line \d+: a / b: is no arithmetic of the kernel"),
        (words, r"line \d+: f'{a}{b}': the kernel has no such expression"),
        (columns_that_are_not, r"line \d+: k.sys.no_such: is no column"),
        (tables_in_turn, r"tables_in_turn: row is .*sys.* and .*costs"),
        (more_or_less, "more_or_less returns different numbers"),
        (raises, r"line \d+: raise ValueError\(a \+ b\): the kernel has no such statement"),
        (unknown, r"line \d+: nobody\(b\): is no function of the kernel"),
        (length_by_node, r"line \d+: len\(k.zone\): is as long on every machine, or as there are nodes"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_not_in_the_language_of_the_kernel_is_refused(function, said):
    with pytest.raises(SyntaxError, match=said):
        Program([function], ("change",))


def switch(k, a, b):
    if k.change.one_by_one and a:
        return unknown(k, a, b)
    return a if not k.change.one_by_one else unknown(k, a, b)


def test_what_a_switch_that_is_off_leads_to_is_not_translated():
    program = Program([switch], ("change",))
    assert [function for function, _ in program.made] == [switch]
    with pytest.raises(SyntaxError, match="nobody"):
        Program([switch])
