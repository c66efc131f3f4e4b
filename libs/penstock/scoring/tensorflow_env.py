"""Environment of TensorFlow; import this before TensorFlow is imported."""

import os

# TensorFlow reads these when imported: the same numbers on every machine, one thread (a process is the unit of scale),
# no search for other devices, no chatter.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
# Otherwise `import tensorflow` loads all of Keras, and matplotlib with it where that is installed: a quarter of its
# time, and 46 MB. The scorer needs none of it, and the trainer imports Keras by its own name.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
