"""Graphs in full precision -> quantized graphs, with a reason for every tensor group. numpy and onnx only, never
torch.
"""
