"""What `make` installs with: uv is told what pip is set to, or left alone."""

import runpy
from pathlib import Path

import pytest

INSTALL = runpy.run_path(str(Path(__file__).parents[1] / "binder/install.py"))


def test_uv_hears_where_pip_gets_its_packages_and_the_environment_counts_most():
    listed = """\
:env:.cert='/env.pem'
:env:.disable-pip-version-check='1'
:env:.find-links='/wheels /more'
global.cert='/file.pem'
global.index-url='https://mirror.invalid/simple?a=b'
global.extra-index-url='file:///one\\nfile:///two'
install.index-url='https://other.invalid/simple'
list.format='columns'
"""
    assert INSTALL["uv_settings"](listed) == {
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "SSL_CERT_FILE": "/env.pem",
        "UV_FIND_LINKS": "/wheels,/more",
        "UV_DEFAULT_INDEX": "https://other.invalid/simple",
        "UV_INDEX": "file:///one file:///two",
    }


def test_a_setting_that_uv_has_no_word_for_leaves_it_to_pip():
    with pytest.raises(ValueError, match=r"pip's global\.no-index"):
        INSTALL["uv_settings"]("global.no-index='true'")


@pytest.mark.parametrize("broken", ["pip config list", "uv pip install"])
def test_where_uv_cannot_be_had_pip_is_to_install(monkeypatch, capsys, broken):
    def run(command, **_):
        if broken.split()[0] in command:
            raise OSError("there is none")
        return type("Done", (), {"stdout": ""})

    monkeypatch.setattr("subprocess.run", run)
    assert INSTALL["by_uv"](["--editable", "."]) is False
    assert "without uv, so it takes longer: there is none" in capsys.readouterr().out
