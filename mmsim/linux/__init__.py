"""A real Linux: `recorder` asks the kernel of this machine what it does.  Standard library alone."""
