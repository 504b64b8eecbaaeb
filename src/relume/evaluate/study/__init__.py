"""Preference studies: which of two results people like better, asked blindly, and what follows from it."""
