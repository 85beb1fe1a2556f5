"""What layers and mini-batch solvers compute with: on arrays of any device, or compiled."""
