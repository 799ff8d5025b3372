"""What one can do to any machine, and what is seen.

`scenes` has ready-made machines, `configs` what kernels of each configuration hold and answer.  `records` reads what
real kernels did, `replay` does the same on the model, and `oracle` compares the two.
"""
