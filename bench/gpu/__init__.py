"""The policy on one CUDA GPU, in torch: the whole call as one CUDA graph, beside the ways that it is compared with."""
