"""What one can do to any machine, and what is seen.

`scenes` has ready-made machines, `configs` what kernels of each configuration hold and answer.  `records` reads what
real kernels did, `words` what is said there; `replay` does the same on the model (`replay_scene` sets it up,
`replay_facts` looks at it), `replay_own` what mmsim itself has recorded, and `verify` compares the two.  `history` runs
one experiment on every kernel, and finds which change made each difference; `catalogue` has experiments that are worth
it.  `goals` has tasks for a reader, whose shortest solutions are found by trying.
"""
