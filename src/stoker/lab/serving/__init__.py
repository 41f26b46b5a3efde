"""What runs in the pods: emulated engines that answer on addresses of their own, and the paths that lead to them."""
