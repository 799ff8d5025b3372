"""The kernel's own functions as V1 has them: what came later is left out before they are compiled.

The switch of a later change, as in ``k.change.one_by_one``, is off on each machine that has none of the changes.  There
it is 0 in the source, and Python's own compiler drops what depends on it.  So most machines neither wait for the
functions of later kernels nor ask at run time whether they are there.  `mmsim.race.interruptible` makes generators of
the same source.
"""

import ast
import functools
import inspect


@functools.cache
def code_of_v1(function):
    """The code of a kernel function in which each ``k.change.<name>`` is 0."""
    if "change" not in function.__code__.co_names:
        return function.__code__
    tree = Switches().visit(ast.parse(inspect.getsource(function)))
    ast.increment_lineno(tree, function.__code__.co_firstlineno - 1)
    code = compile(ast.fix_missing_locations(tree), inspect.getsourcefile(function), "exec")
    return next(constant for constant in code.co_consts if inspect.iscode(constant))


class Switches(ast.NodeTransformer):
    """Turn the switches of later changes off."""

    def visit_Attribute(self, node):
        """``k.change.name`` becomes 0."""
        return ast.Constant(0) if ast.unparse(node.value) == "k.change" else self.generic_visit(node)
