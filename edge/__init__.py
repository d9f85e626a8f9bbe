"""From a bundle to a moving arm: engines, session, cameras, run loop. No torch, transformers or onnx."""
