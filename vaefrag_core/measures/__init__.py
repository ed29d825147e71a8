"""What a channel tells and how alike two are: pure functions of tensors."""
