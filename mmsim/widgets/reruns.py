"""What a cell has shown is closed when the cell is run again: nobody can use it any more, yet it stays in memory."""

import sys

import ipywidgets as W

TRAITLETS = {"_trait_values", "_trait_notifiers", "_trait_validators", "_cross_validation_lock", "_model_id"}  # of all
_made = {}  # {cell: (which run of it, the widgets that this run has made)}


def made_here(widget):
    """Note that the cell which is being run has made a widget, and close those of an earlier run of it."""
    cell, run = this_cell()
    if cell is None:
        return
    before, widgets = _made.get(cell, (run, []))
    if before != run:
        for each in widgets:
            each.close()
        widgets = []
    _made[cell] = run, [*widgets, widget]


def this_cell():
    """(which cell is being run, which run of it); (None, None) where there are no cells."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if shell is None:
        return None, None
    message = getattr(shell, "get_parent", dict)()  # what the notebook asked the kernel to do
    if message.get("msg_type") == "execute_request" or "code" in message.get("content", {}):
        name = message.get("metadata", {}).get("cellId") or message["content"].get("code", "")
        return name, message["header"]["msg_id"]
    return shell.user_ns.get("In", [""])[-1], shell.execution_count


def parts_of(widget):
    """A widget and all that it is made of: children, layouts, styles, also those in lists and dicts that it has."""
    found, waiting = {}, [widget]
    while waiting:
        each = waiting.pop()
        if isinstance(each, (dict, list, tuple)):
            waiting += each.values() if isinstance(each, dict) else each
        elif isinstance(each, W.Widget) and id(each) not in found:
            found[id(each)] = each
            waiting += [*vars(each).values(), *each._trait_values.values()]
    return list(found.values())


def close_all(widget):
    """Close a widget with all that it is made of, and let go of what it holds.

    What a notebook has shown stays in its list of results, Out; so it must not hold on to a machine.
    """
    parts = parts_of(widget)
    for each in parts:
        W.Widget.close(each)
        each.unobserve_all()
        each._msg_callbacks.callbacks.clear()
    for each in parts:
        for name in vars(each).keys() - TRAITLETS:
            del vars(each)[name]
        for name in each._trait_values.keys() - {"comm"}:
            del each._trait_values[name]
