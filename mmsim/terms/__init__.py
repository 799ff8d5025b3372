"""The words in which one speaks to any machine, model or real: arguments, node sets, policies, ranges of pages.

Standard library alone: whoever has Python and nothing else can speak to the machine that they sit at.
"""
