"""Measures of what a channel tells and of how alike two channels are: pure functions of arrays and tensors."""
