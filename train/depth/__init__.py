"""Depth maps become codes: a small VQ autoencoder, its training, its files, and labels for datasets."""
