"""The trainer: normal history in, a model package out."""

from penstock.scoring import tensorflow_env as tensorflow_env  # before any module here imports TensorFlow
