#!/usr/bin/env bash
# tensorflow-cpu 2.21.0 with keras 3.15.1 and matplotlib 3.11.2: `import tensorflow` loads Keras and matplotlib.pyplot.
#
# The module says "Lazy-load Keras", and a program that only loads a SavedModel uses neither. Seen: after
# `import tensorflow`, `keras` and, where it is installed, `matplotlib.pyplot` are loaded; they take a quarter of the
# import's CPU time and some 45 MB. With TF_USE_LEGACY_KERAS=1 and no package tf_keras, none of the two is loaded, and a
# SavedModel is loaded and called all the same. Fails when neither is loaded without the variable, or one is with it.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q --disable-pip-version-check install tensorflow-cpu==2.21.0 keras==3.15.1 matplotlib==3.11.2
cat >"$folder/try.py" <<'PYTHON'
import resource, sys, tempfile, time

began = time.process_time()
import tensorflow as tf

seconds = time.process_time() - began
megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Double(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
    def __call__(self, x):
        return 2 * x


with tempfile.TemporaryDirectory() as folder:
    tf.saved_model.save(Double(), folder)
    doubled = tf.saved_model.load(folder)(tf.constant([1.5])).numpy().tolist()
loaded = [name for name in ("keras", "matplotlib.pyplot") if name in sys.modules]
print(f"loaded: {loaded}; {seconds:.1f} CPU-s, {megabytes:.0f} MB; a SavedModel answers {doubled}")
sys.exit(0 if loaded else 1)
PYTHON
export TF_CPP_MIN_LOG_LEVEL=2 CUDA_VISIBLE_DEVICES=-1
"$folder/venv/bin/python" "$folder/try.py"
if TF_USE_LEGACY_KERAS=1 "$folder/venv/bin/python" "$folder/try.py"; then
  echo "now Keras is loaded with TF_USE_LEGACY_KERAS=1, too" >&2
  exit 1
fi
