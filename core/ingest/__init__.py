"""Bytes to chunks of physical lines."""
