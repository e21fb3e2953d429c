"""The gRPC edge: one servicer a file. Generated messages are known here and nowhere else."""
