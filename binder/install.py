"""Install into the environment that runs this: `.venv/bin/python binder/install.py --editable '.[test]'`.

uv does it in a quarter of pip's time. It comes from where pip gets its packages, and is told what pip is set to,
which it does not read by itself. Where it cannot be had, fails, or has no word for a setting, pip installs.
"""

import ast
import os
import subprocess
import sys

PIP = [sys.executable, "-m", "pip"]
# pip's settings of where packages come from, and what uv calls them; several values stand between the separators.
SETTINGS = {
    "index-url": ("UV_DEFAULT_INDEX", " "), "extra-index-url": ("UV_INDEX", " "), "find-links": ("UV_FIND_LINKS", ","),
    "constraint": ("UV_CONSTRAINT", " "), "cert": ("SSL_CERT_FILE", " "), "trusted-host": ("UV_INSECURE_HOST", " "),
    "timeout": ("UV_HTTP_TIMEOUT", " "), "default-timeout": ("UV_HTTP_TIMEOUT", " "),
    "retries": ("UV_HTTP_RETRIES", " "),
}  # fmt: skip
# What pip says and keeps: uv needs to know nothing of it.
NO_MATTER = {"disable-pip-version-check", "no-cache-dir", "cache-dir", "quiet", "verbose", "progress-bar", "no-input",
             "no-color", "root-user-action", "no-compile", "compile", "break-system-packages",
             "require-virtualenv"}  # fmt: skip


def uv_settings(listed):
    """What `pip config list` says, as variables for uv; ValueError: there is a setting that uv has no word for."""
    found = {}
    for line in listed.splitlines():
        name, value = line.split("=", 1)
        section, key = name.rsplit(".", 1)
        if section in (":env:", "global", "install") and key not in NO_MATTER:
            if key not in SETTINGS:
                raise ValueError(f"pip's {name}")
            found[("global", "install", ":env:").index(section), key] = str(ast.literal_eval(value)).split()
    values = {key: value for (_, key), value in sorted(found.items())}  # the environment comes last: it counts
    # pip looks for the best version in all places, uv in the first that has the package.
    return {"UV_INDEX_STRATEGY": "unsafe-best-match"} | {
        SETTINGS[key][0]: SETTINGS[key][1].join(value) for key, value in values.items()
    }


def by_uv(arguments):
    """Install with uv; False: it did not work, and pip is to do it."""
    try:
        listed = subprocess.run([*PIP, "config", "list"], check=True, capture_output=True, text=True).stdout
        variables = uv_settings(listed) | {"VIRTUAL_ENV": sys.prefix}
        subprocess.run([*PIP, "install", "-q", "--no-compile", "--disable-pip-version-check", "uv"], check=True)
        uv = [sys.executable, "-m", "uv", "pip", "install", *arguments]
        subprocess.run(uv, env=os.environ | variables, check=True)
    except (ValueError, OSError, subprocess.CalledProcessError) as error:
        print(f"without uv, so it takes longer: {error}", flush=True)
        return False
    return True


if __name__ == "__main__" and not by_uv(sys.argv[1:]):
    # Byte code is not made ahead: most of it would never be run, and Python makes what it runs by itself.
    pip = [*PIP, "install", "--no-compile", "--disable-pip-version-check", *sys.argv[1:]]
    sys.exit(subprocess.run(pip).returncode)
