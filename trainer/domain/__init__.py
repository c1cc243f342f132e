"""The decisions of training, pure: what is learned from, how good a model is, whether it may serve."""
