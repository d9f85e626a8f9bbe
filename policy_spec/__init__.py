"""The shared language of the rooms: spec, transforms, host pipeline, bundle, errors. Knows nothing of torch, onnx or a robot."""
