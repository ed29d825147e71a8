"""Who may come in: a token, sessions made from it, and one guard before every route."""
