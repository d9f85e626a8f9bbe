"""The shared language of the rooms: spec, transforms, pipeline, bundle, errors. No torch, no onnx, no robot."""
