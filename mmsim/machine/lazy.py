"""Modules that take longer to import than most sessions want to wait."""

import importlib


class Lazy:
    """A module that is imported when something of it is first asked for."""

    def __init__(self, name):
        self._name = name

    def __getattr__(self, attribute):
        return getattr(importlib.import_module(self._name), attribute)
