"""From datasets to batches: rows, prompts and answers, augmentation, and a loader that resumes where it stopped."""
