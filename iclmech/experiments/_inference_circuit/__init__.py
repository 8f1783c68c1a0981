"""`inference_circuit`: which steps of the inference circuit a model takes."""
