"""What one can do to any machine, and what is seen.

`scenes` has ready-made machines, `configs` what kernels of each configuration hold and answer.  `records` reads what
real kernels did, `words` what is said there; `replay_early`, `replay_later`, `replay_words` and `replay_own` do the
same on the model, and `verify` compares the two.  `history` runs one experiment on every kernel, and finds which change
made each difference; `catalogue` has experiments that are worth it.  `goals` has tasks for a reader, whose shortest
solutions are found by trying.
"""
