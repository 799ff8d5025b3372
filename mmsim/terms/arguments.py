"""What a call is given: whole numbers, yes or no, names, each refused by name; and the faults that a touch gives."""

import operator
import reprlib
from numbers import Integral, Real
from typing import NamedTuple

END_OF_TIME = 1 << 62  # ns, 146 years: a clock that is before it never overflows
_short = reprlib.Repr()
_short.maxstring, _short.maxother = 60, 80


def shown(value):
    """repr() of what somebody gave, on one short line."""
    return " ".join(_short.repr(value).split())


def whole(number, name, least=None, most=END_OF_TIME, what="", no_number=TypeError):
    """A whole number, whoever made it (int, numpy, 2.0), as an int.

    Parameters
    ----------
    name : str
        The argument's name, for the message.
    least, most : int
        Bounds, both possible; `least` None: whatever a caller checks later.
    what : str
        What it counts, for the message: "pages", "ns".
    no_number : type
        The error for what is no number at all.

    Raises
    ------
    TypeError, ValueError
        For what is no number, or one that is not whole or out of bounds.
    """
    low = -END_OF_TIME if least is None else least
    bounds = "" if least is None else f", {least} or more" if most >= END_OF_TIME else f", {least} to {most}"
    right = f"it is a whole number{what and ' of ' + what}{bounds}"
    try:
        value = operator.index(number) if isinstance(number, Integral) or not isinstance(number, Real) else number
        if is_bool(number):
            raise TypeError
    except TypeError:
        raise no_number(f"{name} is {shown(number)}; {right}") from None
    if not low <= value <= most or value != int(value):
        beyond = f", {most:,} at most" if value > most and (least is None or most >= END_OF_TIME) else ""
        raise ValueError(f"{name} is {shown(number)}; {right}{beyond}")
    return int(value)


def is_bool(value):
    """True for a bool, numpy's as well."""
    return isinstance(value, bool) or (type(value).__module__ == "numpy" and type(value).__name__ in ("bool", "bool_"))


def yes_no(value, name):
    """True or False (0 and 1 will do) as a bool; TypeError for anything else, such as the words "yes" and "no"."""
    if is_bool(value):
        return bool(value)
    try:
        if operator.index(value) in (0, 1):
            return bool(value)
    except TypeError:
        pass
    raise TypeError(f"{name} is {shown(value)}; it is True or False")


def text(value, name):
    """A name; TypeError for what is no text."""
    if not isinstance(value, str):
        raise TypeError(f"{name} is {shown(value)}; it is text")
    return value


def words(names, name):
    """One word or an iterable of them, as a list; TypeError for anything else."""
    if not isinstance(names, str) and not hasattr(names, "__iter__"):
        raise TypeError(f"{name} is {shown(names)}; it is a word, or a list of words")
    return [names] if isinstance(names, str) else list(names)


def like(value, attributes, name, right):
    """`value`, if it has some attributes; else a TypeError that says what would be right."""
    if isinstance(value, type) or not all(hasattr(value, attribute) for attribute in attributes.split()):
        raise TypeError(f"{name} is {shown(value)}; {right}")
    return value


def function(value, name, right):
    """`value`, if it can be called, be it a function, a class or a thing; else a TypeError that says what is right."""
    if not callable(value):
        raise TypeError(f"{name} is {shown(value)}; {right}")
    return value


def one_node(number, nodes, name="node"):
    """The number of one of a machine's `nodes` nodes."""
    try:
        number = whole(number, name)
    except TypeError:
        raise TypeError(f"{name} is {shown(number)}; it is the number of a node") from None
    if not 0 <= number < nodes:
        raise ValueError(f"{name} is {number}; this machine has the nodes 0 to {nodes - 1}")
    return number


def counted(number, noun):
    """'1 page', '2 pages', '1 pass', '2 passes'."""
    return f"{number:,} {noun}" + ("" if number == 1 else "es" if noun.endswith("s") else "s")


class Faults(NamedTuple):
    """How many faults of each kind a touch took; every fault is counted once."""

    minor: int
    major: int
    protection: int
    copied: int
