"""The shared language of the rooms: spec, transforms, host pipeline, bundle, errors. No torch, onnx or robot."""
