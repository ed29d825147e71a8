"""Authentication: an access token, sessions made from it, and one guard before every route."""
