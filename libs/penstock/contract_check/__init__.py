"""Keeps contracts/ honest: what a contract must say, what may change once it is released, and what is made from it."""
