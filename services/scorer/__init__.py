"""The scorer: how unusual is each event, and what is it like?"""

from penstock.scoring import tensorflow_env as tensorflow_env  # before any module here imports TensorFlow
