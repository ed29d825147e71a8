"""Encoders, decoders, the VAE made of them, and the losses that train it."""
