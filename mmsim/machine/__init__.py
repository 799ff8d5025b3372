"""The machine as Python sees it; begin with `kernel.Kernel`, then `task.Task`.

What a notebook calls is in `kernel`, `task`, `cpuset`, `file`, `ranges` and `obstacles`; what it is described by, in
`topology`, `policy`, `config` and `changes`.  `boot` makes the tables, `snapshot` keeps them in files, `verify` checks
them, `results` shows them; `migration`, `explain` and `trouble` say what became of the pages, and why.  `doors`,
`handles` and `mmsim.terms.arguments` look at what a call is given before anything is changed.  `compiled` is
the same kernel as machine code, made by `translate`, `signatures` and `columns`, kept by `compile_cache`.
"""
