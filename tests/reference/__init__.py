"""Cases made by running the released code (../shared/reference), run through train/model and the bundles."""
