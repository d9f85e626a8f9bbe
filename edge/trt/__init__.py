"""TensorRT and TensorRT-RTX: engines built from a bundle's graphs, kept beside it, and run on one GPU."""
