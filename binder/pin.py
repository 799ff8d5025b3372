"""Write requirements.txt: this checkout, and everything that it names, pinned to what is installed here.

Run by `make pins` after the tests have passed, so that Binder gets the versions they passed with.
"""

import tomllib
from importlib.metadata import version
from pathlib import Path

from packaging.requirements import Requirement

here = Path(__file__).parent
project = tomllib.loads((here.parent / "pyproject.toml").read_text())["project"]
names = sorted(Requirement(line).name for line in project["dependencies"] + project["optional-dependencies"]["lab"])
(here / "requirements.txt").write_text(
    "# Written by `make pins`. The dot is the checkout: Binder would not install it otherwise.\n"
    ".\n" + "".join(f"{name}=={version(name)}\n" for name in names)
)
