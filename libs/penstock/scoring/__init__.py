"""What the scorer, the trainer and the model registry share: features of an event, and the model package.

Nothing here imports TensorFlow; only `features` needs numpy.
"""
