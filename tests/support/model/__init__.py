"""The independent brute-force model of tidemark (see README.md)."""
