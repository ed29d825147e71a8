"""Images with named factors, and the fingerprint sample drawn from them."""
