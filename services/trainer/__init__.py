"""The trainer: normal history in, a model package out."""
