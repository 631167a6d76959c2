"""What ``gridfuse doctor`` looks at: the stores on this machine, and the peers on the network. Nothing here writes to either."""
